"""The classes of MONAI Deploy and Holoscan that our operators and the application use.

Import them from here, never from `monai.deploy` or `holoscan`: importing this
module first prepares the process for Holoscan (see
`operators.deploy.holoscan_process`).
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
