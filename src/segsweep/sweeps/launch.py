"""Start a sweep: compose all its members, then hand them to the launcher that the command chose."""

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from hydra.utils import get_class
from omegaconf import DictConfig

from segsweep.errors import ConfigError, UserError
from segsweep.planning.explain import explained
from segsweep.sweeps.launchers.foreign import ForeignLauncher
from segsweep.sweeps.launchers.launcher import SweepLauncher
from segsweep.sweeps.sweep import Call, Sweep


def launch(call: Call) -> Sweep | None:
    """Plan and execute the sweep of a command; it is in `call.sweep` also if this raises.

    All members are known before anything starts, unless a sweeper of Hydra's chooses them by results.

    Raises:
        ConfigError: a member is wrong, or the sweeper and the launcher do not go together.
        UserError: a folder cannot be written.
    """
    request, settings = call.request, call.request.settings
    context, name = request.context, settings.hydra.job.config_name
    try:
        with explained():
            context.callbacks.on_multirun_start(config=settings, config_name=name)
            if request.foreign_sweeper is not None:
                check_planning_launcher(settings)
                sweeper = Plugins.instance().instantiate_sweeper(
                    hydra_context=context, task_function=call, config=settings
                )
                sweeper.sweep(arguments=request.overrides)
            else:
                launcher = launcher_of(call, context)
                members = request.compose(call.check).sound()
                size = request.axes.batch or len(members)
                for first in range(0, len(members), size):
                    launcher.run(members[first : first + size])
            context.callbacks.on_multirun_end(config=settings, config_name=name)
    except OSError as error:
        remedy = "give a folder you can write as runs_dir=…"
        raise UserError(f"{error.filename}: {error.strerror}; {remedy}") from error
    return call.sweep


def launcher_of(call: Call, context: HydraContext) -> SweepLauncher:
    """Return the launcher that a command chose; another Hydra launcher is wrapped in ours."""
    settings = call.request.settings
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=call, config=settings
    )
    if isinstance(launcher, SweepLauncher):
        return launcher
    foreign = ForeignLauncher(launcher)
    foreign.setup(hydra_context=context, task_function=call, config=settings)
    return foreign


def check_planning_launcher(settings: DictConfig) -> None:
    """Raise ConfigError if neither sweeper nor launcher is ours, because nothing would plan the runs."""
    if not issubclass(get_class(settings.hydra.launcher.get("_target_")), SweepLauncher):
        raise ConfigError(
            f"hydra/sweeper={settings.hydra.runtime.choices['hydra/sweeper']} needs a launcher that plans: "
            "hydra/launcher=segsweep, pool or submitit_slurm"
        )
