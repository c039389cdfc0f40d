"""The facts about resources, which `@node` states once: complete, consistent, and the same wherever they are needed."""

import re
from dataclasses import fields

import pytest
from graphql import GraphQLObjectType

from gateway.graph.node import Node
from gateway.graph.schema import make_schema
from gateway.graph.types import RESOURCES, UPSTREAM_RESOURCES, Participant, Receipt
from gateway.source.lifetimes import Lifetimes
from gateway.twilio import paths
from gateway.twilio.resources import Resource

EVERY = list(RESOURCES.values())
SCHEMA = make_schema()._schema


def test_every_type_of_node_is_a_resource() -> None:
    assert {kind.resource for kind in Node.__subclasses__()} == set(EVERY)
    assert {resource.collection: resource for resource in EVERY} == RESOURCES


@pytest.mark.parametrize("fact", ["collection", "prefix", "letter", "rows_key", "type_name"])
def test_a_fact_that_identifies_a_resource_is_unique(fact: str) -> None:
    assert len({getattr(resource, fact) for resource in EVERY}) == len(EVERY)


def test_letters_of_ids_are_permanent() -> None:
    letters = {resource.collection: resource.letter for resource in EVERY}
    permanent = {"Services": "S", "Conversations": "C", "Messages": "M", "Receipts": "R", "Participants": "P"}
    assert letters == letters | permanent
    assert all(re.fullmatch("[A-Z]", letter) for letter in letters.values())


@pytest.mark.parametrize("resource", EVERY, ids=lambda resource: resource.collection)
def test_a_resource_has_all_its_facts(resource: Resource) -> None:
    assert re.fullmatch("[A-Z]{2}", resource.prefix)
    assert 1 <= resource.page_max <= 100
    assert bool(resource.sid_property) == any(each.parent is resource for each in EVERY)
    assert (resource.final_lifetime is None) == (resource.is_final is None)
    assert resource.name_property is None or resource.name_property in resource.properties
    kind = SCHEMA.type_map[resource.type_name]
    assert isinstance(kind, GraphQLObjectType)
    assert f"`{resource.prefix}…`" in (kind.fields["sid"].description or "")


def test_every_lifetime_is_a_setting_and_every_setting_is_used() -> None:
    named = {name for each in EVERY for name in (each.lifetime, each.list_lifetime, each.final_lifetime) if name}
    assert named == {setting.name for setting in fields(Lifetimes)}


def test_paths_know_the_resources_that_have_names() -> None:
    every = {each for resource in UPSTREAM_RESOURCES.values() for each in (*resource.ancestors, resource)}
    named = {resource.collection: resource.prefix for resource in every if resource.name_property is not None}
    assert named == paths._NAMED


def test_lists_that_are_read_whole_have_a_bound() -> None:
    assert (Receipt.resource.pages_max, Participant.resource.pages_max) == (1, 10)
    with pytest.raises(ValueError, match="no bound"):
        _ = RESOURCES["Messages"].pages_max
