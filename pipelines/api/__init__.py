"""The Python interface behind ``import router_ml as rm``: objects that keep what stages write.

A :class:`~pipelines.api.log.Log` is a joined folder, a :class:`~pipelines.api.router.Router` a
bundle with what it was trained to, an :class:`~pipelines.api.evaluation.Evaluation` an evaluated
one. Every function here calls the stage that the command of the same name calls, so both ways give
the same artifacts.
"""
