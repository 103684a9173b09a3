"""The one door to MONAI Deploy: import it from here, never from `monai.deploy` or `holoscan`.

Importing this module prepares the process for Holoscan (see
`operators.deploy.holoscan_process`) and then hands on the classes that our operators
and the application are made of.
"""

from __future__ import annotations

from operators.deploy.holoscan_process import prepare_process

prepare_process()

from holoscan.conditions import CountCondition  # noqa: E402
from holoscan.core import ExecutionContext, InputContext, OutputContext  # noqa: E402
from monai.deploy.core import (  # noqa: E402
    AppContext,
    Application,
    ConditionType,
    Fragment,
    Operator,
    OperatorSpec,
)

__all__ = [
    "AppContext",
    "Application",
    "ConditionType",
    "CountCondition",
    "ExecutionContext",
    "Fragment",
    "InputContext",
    "Operator",
    "OperatorSpec",
    "OutputContext",
]
