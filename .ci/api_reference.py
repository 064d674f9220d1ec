"""Write docs/api.md, the reference of the contract, from the comments in protos/."""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from google.protobuf import descriptor_pb2 as pb

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "api.md"
PROTOS = ROOT / "protos"

GENERATED = "<!-- Written by `make generate` from the comments in protos/. -->"
INTRODUCTION = """\
Every service, message and enum of {packages}, in the words of the `.proto` files. \
[The contract](contract.md) tells how they work together. Types that begin with \
`google.` are [protobuf's own](https://protobuf.dev/reference/protobuf/google.protobuf/).

A *plain* field cannot be absent: if it is not set, it reads as 0, false, empty, or as \
value 0 of its enum. An *optional* one can be. A *repeated* one is a list, and a *map* \
a map; both can be empty. *One of* several excludes the others."""

# Numbers of the fields of descriptor.proto, of which the path of a comment is made.
FILE_MESSAGES, FILE_ENUMS, FILE_SERVICES = 4, 5, 6
FIELDS, MESSAGES, ENUMS, ONEOFS = 2, 3, 4, 8
METHODS = VALUES = 2

IDEMPOTENCY = {
    pb.MethodOptions.IDEMPOTENCY_UNKNOWN: "",
    pb.MethodOptions.NO_SIDE_EFFECTS: ", no side effects",
    pb.MethodOptions.IDEMPOTENT: ", idempotent",
}
# Comments are plain text: what Markdown would read as its own stands for itself.
MARKUP = re.compile(r"([\\`*<\[|])")

FIELD_HEAD = "| number | field | type | presence | meaning |\n|---|---|---|---|---|"
VALUE_HEAD = "| number | value | meaning |\n|---|---|---|"


class Named(Protocol):
    """Whatever of a descriptor has a name and options."""

    name: str

    @property
    def options(self) -> object:
        """Return the options."""


Thing = TypeVar("Thing", bound=Named)
Part = TypeVar("Part", bound=Named)


@dataclass(frozen=True)
class Element(Generic[Thing]):
    """One thing of a file, and where it stands."""

    thing: Thing
    full_name: str
    path: tuple[int, ...]
    comments: Mapping[tuple[int, ...], str]

    def inner(self, part: int, things: Iterable[Part]) -> Iterator["Element[Part]"]:
        """Yield what one part of it holds, in the order of the file."""
        for number, thing in enumerate(things):
            yield Element(
                thing,
                f"{self.full_name}.{thing.name}",
                (*self.path, part, number),
                self.comments,
            )

    def paragraphs(self) -> list[str]:
        """Return the comment, one line for each paragraph."""
        text = MARKUP.sub(r"\\\1", self.comments.get(self.path, ""))
        found = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
        # The options of a oneof do not know the word.
        if getattr(self.thing.options, "deprecated", False):
            found.insert(0, "**Deprecated.**")
        return [*filter(None, found)]

    def in_a_cell(self) -> str:
        """Return the comment as the cell of a table."""
        return "<br>".join(self.paragraphs())


File = Element[pb.FileDescriptorProto]
Service = Element[pb.ServiceDescriptorProto]
Message = Element[pb.DescriptorProto]
Enum = Element[pb.EnumDescriptorProto]


class Reference:
    """The page about some files, of which each type knows its place."""

    def __init__(self, files: Sequence[pb.FileDescriptorProto]) -> None:
        self._files = [whole(file) for file in files]
        self._packages = sorted({file.package for file in files})
        self._anchors: dict[str, str] = {}
        seen: Counter[str] = Counter(["api-reference", "contents", "services"])
        for name in self._headings():
            slug = re.sub(r"[^\w-]", "", self._title(name)).lower()
            # So Markdown tells headings apart that differ in their dots alone.
            self._anchors[name] = f"{slug}-{seen[slug]}" if seen[slug] else slug
            seen[slug] += 1

    def _headings(self) -> Iterator[str]:
        """Yield the full names that have a heading, in the order of the page."""
        for file in self._files:
            for service in services(file):
                yield service.full_name
                for method in service.inner(METHODS, service.thing.method):
                    yield method.full_name
        for file in self._files:
            for element in types(file):
                yield element.full_name

    def _title(self, full_name: str) -> str:
        """Return a name without the package, if there is only one."""
        if len(self._packages) == 1:
            return full_name.removeprefix(f".{self._packages[0]}.")
        return full_name.removeprefix(".")

    def lines(self) -> Iterator[str]:
        """Yield the page, each line as it is or several in one."""
        packages = ", ".join(f"`{package}`" for package in self._packages)
        yield from (GENERATED, "", "# API reference", "")
        yield INTRODUCTION.format(packages=packages)
        yield from self._contents()
        yield from ("", "## Services")
        for file in self._files:
            for service in services(file):
                yield from self._service(service)
        for file in self._files:
            if [*types(file)]:
                yield from ("", f"## {file.thing.name}")
            for element in types(file):
                yield from self._type(element)

    def _contents(self) -> Iterator[str]:
        yield from ("", "## Contents", "", "Services:", "")
        for file in self._files:
            for service in services(file):
                methods = service.inner(METHODS, service.thing.method)
                calls = ", ".join(
                    f"[{method.thing.name}](#{self._anchors[method.full_name]})"
                    for method in methods
                )
                yield f"- {self._link(service.full_name)}: {calls}"
        yield from ("", "Messages and enums:", "")
        for file in self._files:
            if found := [self._link(element.full_name) for element in types(file)]:
                yield f"- `{file.thing.name}`: {', '.join(found)}"

    def _service(self, service: Service) -> Iterator[str]:
        yield from ("", f"### {self._title(service.full_name)}")
        yield from apart(service.paragraphs())
        for method in service.inner(METHODS, service.thing.method):
            call = method.thing
            asked, answered = self._link(call.input_type), self._link(call.output_type)
            if call.client_streaming:
                asked = f"stream of {asked}"
            if call.server_streaming:
                answered = f"stream of {answered}"
            traits = streaming(call) + IDEMPOTENCY[call.options.idempotency_level]
            yield from ("", f"#### {self._title(method.full_name)}", "")
            yield f"{asked} → {answered} ({traits})"
            yield from apart(method.paragraphs())

    def _type(self, element: Message | Enum) -> Iterator[str]:
        yield from ("", f"### {self._title(element.full_name)}")
        yield from apart(element.paragraphs())
        # A generic class is no pattern, so the thing within tells which of them it is.
        if isinstance(element.thing, pb.EnumDescriptorProto):
            yield from self._values(element, element.thing)
        else:
            yield from self._fields(element, element.thing)

    def _values(
        self, element: Message | Enum, enum: pb.EnumDescriptorProto
    ) -> Iterator[str]:
        yield from ("", VALUE_HEAD)
        for value in element.inner(VALUES, enum.value):
            name, number = value.thing.name, value.thing.number
            yield f"| {number} | `{name}` | {value.in_a_cell()} |"

    def _fields(
        self, element: Message | Enum, message: pb.DescriptorProto
    ) -> Iterator[str]:
        for oneof in element.inner(ONEOFS, message.oneof_decl):
            # An optional field is alone in a oneof that nobody wrote.
            if oneof.paragraphs():
                yield from ("", f"One of `{oneof.thing.name}`: {oneof.in_a_cell()}")
        if not message.field:
            yield from ("", "It has no fields.")
            return
        yield from ("", FIELD_HEAD)
        for field in element.inner(FIELDS, message.field):
            name, number = field.thing.name, field.thing.number
            kind, presence = self._kind(message, field.thing)
            yield f"| {number} | `{name}` | {kind} | {presence} | {field.in_a_cell()} |"

    def _kind(
        self, message: pb.DescriptorProto, field: pb.FieldDescriptorProto
    ) -> tuple[str, str]:
        """Return the type of a field, and whether it can be absent."""
        entries = {
            nested.name: nested for nested in message.nested_type if entry(nested)
        }
        if found := entries.get(field.type_name.rpartition(".")[2]):
            key, value = (self._kind(found, part)[0] for part in found.field)
            return f"{key} → {value}", "map"
        kind = self._link(field.type_name) if field.type_name else scalar(field)
        if field.label == pb.FieldDescriptorProto.LABEL_REPEATED:
            return kind, "repeated"
        if field.HasField("oneof_index") and not field.proto3_optional:
            return kind, f"one of `{message.oneof_decl[field.oneof_index].name}`"
        is_message = field.type == pb.FieldDescriptorProto.TYPE_MESSAGE
        return kind, "optional" if field.proto3_optional or is_message else "plain"

    def _link(self, full_name: str) -> str:
        """Name a type or service, with a link if it is on the page."""
        if anchor := self._anchors.get(full_name):
            return f"[{self._title(full_name)}](#{anchor})"
        return f"`{full_name.removeprefix('.')}`"


def whole(file: pb.FileDescriptorProto) -> File:
    """Return a file as an element, of which the others are parts."""
    comments = {
        tuple(place.path): place.leading_comments + "\n" + place.trailing_comments
        for place in file.source_code_info.location
        if place.leading_comments or place.trailing_comments
    }
    return Element(file, f".{file.package}", (), comments)


def services(file: File) -> Iterator[Service]:
    """Yield the services of a file."""
    return file.inner(FILE_SERVICES, file.thing.service)


def types(file: File) -> Iterator[Message | Enum]:
    """Yield the messages and enums of a file, each before those within it."""
    yield from file.inner(FILE_ENUMS, file.thing.enum_type)
    for message in file.inner(FILE_MESSAGES, file.thing.message_type):
        yield from within(message)


def within(message: Message) -> Iterator[Message | Enum]:
    """Yield a message and the types within it, but none that stands for a map."""
    if entry(message.thing):
        return
    yield message
    yield from message.inner(ENUMS, message.thing.enum_type)
    for nested in message.inner(MESSAGES, message.thing.nested_type):
        yield from within(nested)


def entry(message: pb.DescriptorProto) -> bool:
    """Say whether a message is only how a map is written on the wire."""
    return message.options.map_entry


def scalar(field: pb.FieldDescriptorProto) -> str:
    """Return the type of a field that is neither a message nor an enum."""
    return pb.FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def streaming(method: pb.MethodDescriptorProto) -> str:
    """Say which sides of a call stream."""
    match method.client_streaming, method.server_streaming:
        case True, True:
            return "both sides stream"
        case True, False:
            return "the client streams"
        case False, True:
            return "the server streams"
        case _:
            return "unary"


def apart(paragraphs: Iterable[str]) -> Iterator[str]:
    """Yield paragraphs, each below an empty line."""
    for paragraph in paragraphs:
        yield from ("", paragraph)


def described(protos: Path) -> list[pb.FileDescriptorProto]:
    """Compile the files of a folder, and return what they declare, by their names."""
    names = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "descriptors"
        subprocess.run(  # noqa: S603
            [
                *(sys.executable, "-m", "grpc_tools.protoc"),
                *("-I", protos, "--include_source_info", "--include_imports"),
                *(f"--descriptor_set_out={path}", *names),
            ],
            check=True,
        )
        found = pb.FileDescriptorSet.FromString(path.read_bytes())
    return sorted(
        (file for file in found.file if file.name in names), key=lambda file: file.name
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    parser.add_argument("--protos", type=Path, default=PROTOS)
    options = parser.parse_args(arguments)
    page = "\n".join(Reference(described(options.protos)).lines()) + "\n"
    options.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
