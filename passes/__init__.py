"""The passes: `Graph -> Graph`, one file each; `pipeline.PIPELINE` is their order."""

from graphc.passes.pipeline import PIPELINE, Pass, current_pipeline, register_pass
from graphc.passes.registration import Registration, register_rule

__all__ = ["PIPELINE", "Pass", "Registration", "current_pipeline", "register_pass", "register_rule"]
