"""Start a sweep: compose all its members, then hand them to the launcher that the command chose."""

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from hydra.utils import get_class

from segsweep.errors import ConfigError, UserError
from segsweep.planning.explain import explained
from segsweep.sweeps.launchers.base import SweepLauncher
from segsweep.sweeps.launchers.foreign import ForeignLauncher
from segsweep.sweeps.sweep import Call, Sweep


def launch(call: Call) -> Sweep | None:
    """Plan and execute the sweep that a command asks for; `call.sweep` has it too, however this ends.

    Members are known before anything starts, unless a sweeper of Hydra's chooses them by what others reached.

    Raises:
        ConfigError: a member is wrong, or the sweeper and the launcher do not go together.
        UserError: a folder cannot be written.
    """
    try:
        with explained():
            context, settings = call.request.context, call.request.settings
            name = settings.hydra.job.config_name
            context.callbacks.on_multirun_start(config=settings, config_name=name)
            _launch(call, context)
            context.callbacks.on_multirun_end(config=settings, config_name=name)
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}; give a folder you can write as runs_dir=…"
        ) from error
    return call.sweep


def _launch(call: Call, context: HydraContext) -> None:
    request, plugins, settings = call.request, Plugins.instance(), call.request.settings
    if request.foreign_sweeper is not None:
        if not issubclass(get_class(settings.hydra.launcher.get("_target_")), SweepLauncher):
            raise ConfigError(
                f"hydra/sweeper={settings.hydra.runtime.choices['hydra/sweeper']} needs a launcher "
                "that plans: hydra/launcher=segsweep, pool or submitit_slurm"
            )
        sweeper = plugins.instantiate_sweeper(hydra_context=context, task_function=call, config=settings)
        sweeper.sweep(arguments=request.overrides)
        return
    launcher = plugins.instantiate_launcher(hydra_context=context, task_function=call, config=settings)
    if not isinstance(launcher, SweepLauncher):
        launcher = ForeignLauncher(launcher)
        launcher.setup(hydra_context=context, task_function=call, config=settings)
    members = request.compose(call.check).sound()
    size = request.axes.batch or len(members)
    for first in range(0, len(members), size):
        launcher.run(members[first : first + size])
