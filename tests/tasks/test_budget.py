from __future__ import annotations

from tasks.planning.budget import Budget


def test_no_limit_refuses_nothing() -> None:
    assert Budget().choose([("a", "p", None), ("b", "p", 1e9)]) == (["a", "b"], {})


def test_a_night_that_is_spent_refuses_and_names_itself() -> None:
    budget = Budget.left(night_hours=1, project_hours={}, night_spent=3590, project_spent={})
    assert budget.choose([("a", "p", 6), ("b", "p", 6), ("c", "p", 1)]) == (
        ["a"],
        {"b": "the night's budget", "c": "the night's budget"},
    ), "c would fit, but b is more urgent and would starve"


def test_a_project_that_is_spent_leaves_the_others_alone() -> None:
    budget = Budget.left(night_hours=None, project_hours={"p": 1.0}, night_spent=0, project_spent={"p": 3600.0})
    assert budget.choose([("a", "p", None), ("b", "q", 50)]) == (["b"], {"a": "the budget of p"})


def test_images_without_history_start_until_the_time_is_truly_spent() -> None:
    budget = Budget(night=10.0)
    assert budget.refuses("p", None) is None
    budget.spend("p", 10.5)
    assert budget.refuses("p", None) == "the night's budget"


def test_choosing_spends_nothing() -> None:
    budget = Budget(night=10.0, projects={"p": 10.0})
    budget.choose([("a", "p", 6)])
    assert budget == Budget(night=10.0, projects={"p": 10.0})
