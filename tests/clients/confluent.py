"""Confluent's own client and serializers against this registry, with a bearer token.

    confluent.py PHASE

URL and TOKEN are in the environment. Between the phases somebody else approves what the one before
asked for, and agrees beforehand to what comes, of all subjects but `unapproved-value`.
"""

import base64
import json
import os
import sys

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2


def client():
    """A client that knows nothing yet."""
    return SchemaRegistryClient({
        "url": os.environ["URL"],
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": os.environ["TOKEN"],
        "bearer.auth.logical.cluster": "lsrc-none",
        "max.retries": 0,
    })


def refused(status, code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (status, code), error
        return str(error)
    raise AssertionError(f"{call.__name__} was not refused")


def record(name, *fields):
    return {"type": "record", "namespace": "shop", "name": name, "fields": list(fields)}


CITY = {"name": "city", "type": "string"}
ADDRESS = Schema(json.dumps(record("Address", CITY)), "AVRO")
ORDER_FIELDS = [{"name": "id", "type": "long"}, {"name": "to", "type": "shop.Address"}]
ORDER = json.dumps(record("Order", *ORDER_FIELDS))
ORDER_REFERENCES = [SchemaReference("shop.Address", "sales.Address", 1)]
NOTE = {"name": "note", "type": ["null", "string"], "default": None}

ADDRESS_URL = "https://schemas.example/address.json"
JSON_ADDRESS = Schema(json.dumps({
    "$schema": "http://json-schema.org/draft-07/schema#", "$id": ADDRESS_URL, "title": "Address",
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
}), "JSON")
CUSTOMER = json.dumps({
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Customer", "type": "object",
    "properties": {"id": {"type": "integer"}, "home": {"$ref": ADDRESS_URL}}, "required": ["id"],
})
CUSTOMER_REFERENCES = [SchemaReference(ADDRESS_URL, "sales.address-json", 1)]

FIELD = descriptor_pb2.FieldDescriptorProto


def proto(name, message, fields, dependencies=()):
    """A file with one message; a field is a name and the name of a message, or a kind of number."""
    file = descriptor_pb2.FileDescriptorProto(
        name=name, package="shop", syntax="proto3", dependency=dependencies)
    of = file.message_type.add(name=message)
    for number, (field, kind) in enumerate(fields, 1):
        if isinstance(kind, str):
            of.field.add(name=field, number=number, type=FIELD.TYPE_MESSAGE, type_name=kind,
                         label=FIELD.LABEL_OPTIONAL)
        else:
            of.field.add(name=field, number=number, type=kind, label=FIELD.LABEL_OPTIONAL)
    return file


POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
POOL.Add(proto("money.proto", "Money", [("units", FIELD.TYPE_INT64), ("currency", FIELD.TYPE_STRING)]))
POOL.Add(proto(
    "payment.proto", "Payment",
    [("id", FIELD.TYPE_STRING), ("amount", ".shop.Money"), ("at", ".google.protobuf.Timestamp")],
    ["money.proto", "google/protobuf/timestamp.proto"]))
MONEY = POOL.FindMessageTypeByName("shop.Money")
PAYMENT = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shop.Payment"))

VALUE = {"id": 7, "to": {"city": "Ulm"}}
BUYER = {"id": 7, "home": {"city": "Ulm"}}


def of(topic):
    return SerializationContext(topic, MessageField.VALUE)


def avro(conf=None, schema=ORDER, references=ORDER_REFERENCES, topic="orders", value=None):
    """There and back: who reads has another client, and finds the schema by its number."""
    value = value or VALUE
    writer = AvroSerializer(client(), Schema(schema, "AVRO", references), conf=conf)
    message = writer(value, of(topic))
    assert message[0] == 0, message
    assert AvroDeserializer(client())(message, of(topic)) == value
    return int.from_bytes(message[1:5], "big")


def json_schema(conf=None):
    schema = Schema(CUSTOMER, "JSON", CUSTOMER_REFERENCES)
    message = JSONSerializer(schema, client(), conf=conf)(BUYER, of("customers"))
    read = JSONDeserializer(schema, schema_registry_client=client())
    assert read(message, of("customers")) == BUYER
    return int.from_bytes(message[1:5], "big")


def protobuf(conf=None):
    payment = PAYMENT(id="p", at={"seconds": 1})
    payment.amount.units = 12
    conf = {"use.deprecated.format": False, **(conf or {})}
    message = ProtobufSerializer(PAYMENT, client(), conf)(payment, of("payments"))
    read = ProtobufDeserializer(PAYMENT, {"use.deprecated.format": False}, client())
    assert read(message, of("payments")) == payment
    return int.from_bytes(message[1:5], "big")


def references():
    """What others refer to: it has to be in use before anything can."""
    registry = client()
    assert registry.get_subjects() == []
    assert sorted(registry.get_schema_types()) == ["AVRO", "JSON", "PROTOBUF"]
    money = base64.b64encode(MONEY.file.serialized_pb).decode()
    sent = {"sales.Address": ADDRESS, "sales.address-json": JSON_ADDRESS,
            "money.proto": Schema(money, "PROTOBUF")}
    ids = [registry.register_schema(subject, schema) for subject, schema in sent.items()]
    assert len(set(ids)) == 3, ids
    assert ids == [client().register_schema(subject, schema) for subject, schema in sent.items()]
    # Nobody has agreed to them.
    assert registry.get_subjects() == []
    refused(404, 40401, registry.get_latest_version, "sales.Address")
    order = Schema(ORDER, "AVRO", ORDER_REFERENCES)
    refused(422, 42201, registry.register_schema, "orders-value", order)


def propose():
    """Serializers register by themselves: messages can be written and read, and nothing is in use yet."""
    registry = client()
    assert registry.get_subjects() == ["money.proto", "sales.Address", "sales.address-json"]
    assert registry.get_subjects(subject_prefix="sales.") == ["sales.Address", "sales.address-json"]
    ids = [avro(), json_schema(), protobuf(), avro(schema=json.dumps(record("Other", CITY)),
           references=[], topic="unapproved", value={"city": "Ulm"})]
    assert len(set(ids)) == 4, ids
    assert ids[:3] == [avro(), json_schema(), protobuf()]
    latest = {"auto.register.schemas": False, "use.latest.version": True}
    for use in (avro, json_schema, protobuf):
        refused(404, 40401, use, latest)
    refused(404, 40401, registry.lookup_schema, "orders-value", Schema(ORDER, "AVRO", ORDER_REFERENCES))
    found = registry.lookup_schema("orders-value", Schema(ORDER, "AVRO", ORDER_REFERENCES), deleted=True)
    assert (found.schema_id, found.version) == (ids[0], 1)


def use():
    """Once they are approved."""
    registry = client()
    subjects = ["customers-value", "money.proto", "orders-value", "payments-value", "sales.Address",
                "sales.address-json"]
    assert registry.get_subjects() == subjects
    latest = {"auto.register.schemas": False, "use.latest.version": True}
    ids = [avro(), json_schema(), protobuf()]
    assert ids == [avro(latest), json_schema(latest), protobuf(latest)]
    # Without an approval: not even now.
    refused(404, 40401, registry.get_latest_version, "unapproved-value")

    first = registry.get_latest_version("orders-value")
    assert (first.version, first.schema_id, first.schema.schema_type) == (1, ids[0], "AVRO")
    reference = first.schema.references[0]
    assert (reference.name, reference.subject, reference.version) == ("shop.Address", "sales.Address", 1)
    assert registry.get_schema(ids[0]).schema_str == ORDER
    assert registry.get_subjects_by_schema_id(ids[0]) == ["orders-value"]
    used = registry.get_schema_versions(ids[0])
    assert [(version.subject, version.version) for version in used] == [("orders-value", 1)]
    assert registry.get_referenced_by("sales.Address", 1) == [ids[0]]
    # Written differently it is the same.
    spread = Schema(json.dumps(json.loads(ORDER), indent=4), "AVRO", ORDER_REFERENCES)
    assert registry.lookup_schema("orders-value", spread).schema_id == ids[0]
    assert registry.register_schema("orders-value", spread) == ids[0]

    # Somebody has agreed to what is compatible, and to nothing else.
    wider = json.dumps(record("Order", *ORDER_FIELDS, NOTE))
    second = Schema(wider, "AVRO", ORDER_REFERENCES)
    assert registry.test_compatibility("orders-value", second)
    id2 = registry.register_schema("orders-value", second)
    assert id2 not in ids
    assert registry.get_versions("orders-value") == [1, 2]
    # A client remembers what was the latest.
    assert client().get_latest_version("orders-value").schema_id == id2
    assert avro(latest, schema=wider, value={**VALUE, "note": "soon"}) == id2
    state = {"name": "state", "type": "string"}
    third = Schema(json.dumps(record("Order", *ORDER_FIELDS, state)), "AVRO", ORDER_REFERENCES)
    assert not registry.test_compatibility("orders-value", third)
    assert not registry.test_compatibility_all_versions("orders-value", third)
    assert "state" in refused(409, 409, registry.register_schema, "orders-value", third)
    assert registry.get_versions("orders-value") == [1, 2]
    refused(422, 42201, registry.register_schema, "orders-value", Schema("{", "AVRO"))

    # Another promise ends that agreement: what is registered then waits.
    assert registry.get_compatibility("orders-value") == "BACKWARD"
    assert registry.get_compatibility() == "BACKWARD"
    assert registry.get_config("orders-value").compatibility_level.value == "BACKWARD"
    assert registry.set_compatibility("orders-value", "NONE") == {"compatibility": "NONE"}
    assert registry.get_compatibility("orders-value") == "NONE"
    assert registry.test_compatibility("orders-value", third)
    id3 = registry.register_schema("orders-value", third)
    assert client().get_schema(id3).schema_str == third.schema_str
    assert registry.get_versions("orders-value") == [1, 2]
    assert registry.delete_config("orders-value").compatibility_level.value == "NONE"
    assert registry.get_compatibility("orders-value") == "BACKWARD"
    refused(422, 42205, registry.set_compatibility, level="FULL")
    refused(422, 42203, registry.set_compatibility, "orders-value", "SOME")

    # Deleting is deprecating; what is written stays readable.
    assert registry.delete_version("customers-value", 1) == 1
    refused(404, 40401, client().get_latest_version, "customers-value")
    assert client().get_version("customers-value", 1, deleted=True).schema_id == ids[1]
    assert client().get_schema(ids[1]).schema_type == "JSON"
    assert registry.delete_subject("payments-value") == [1]
    assert registry.get_subjects() == [of for of in subjects if of[0] not in "cp"]
    assert "customers-value" in registry.get_subjects(deleted=True)
    refused(422, 42205, registry.delete_subject, "orders-value", permanent=True)


if __name__ == "__main__":
    {"references": references, "propose": propose, "use": use}[sys.argv[1]]()
