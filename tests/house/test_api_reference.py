"""The reference of the contract says what the protos say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "api_reference.py"
PAGE = ROOT / "docs" / "api.md"

EXAMPLE = """\
syntax = "proto3";

package acme.v1;

import "google/protobuf/timestamp.proto";

// Shop sells.
//
// It is open | closed, and takes * and `x`.
service Shop {
  // Buy buys.
  rpc Buy(Order) returns (Receipt) {
    option idempotency_level = IDEMPOTENT;
  }
  // Watch tells.
  rpc Watch(Order) returns (stream Receipt) {
    option idempotency_level = NO_SIDE_EFFECTS;
  }
  // Load takes.
  rpc Load(stream Order) returns (Receipt);
  // Talk does both.
  rpc Talk(stream Order) returns (stream Receipt) {
    option deprecated = true;
  }
}

// Order is what is wanted.
message Order {
  // Size is how much.
  enum Size {
    // Not said.
    SIZE_UNSPECIFIED = 0;
    SIZE_LARGE = 7; // A lot.
  }
  // How much.
  Size size = 2;
  // What it may cost,
  // in cents.
  optional int64 cents = 1;
  // Whose.
  repeated string names = 3;
  // Other things.
  map<string, Receipt> others = 4;
  // How to pay.
  oneof payment {
    // In coins.
    double coins = 5;
    // By card.
    string card = 6 [deprecated = true];
  }
  // When it was made.
  google.protobuf.Timestamp time = 7;
}

// Receipt is what one gets.
message Receipt {}

// OrderSize has the anchor of the enum within Order.
message OrderSize {}
"""


def write(page: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Write a reference."""
    return subprocess.run(  # noqa: S603
        [sys.executable, SCRIPT, page, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the reference of a package that has everything."""
    folder = tmp_path_factory.mktemp("protos")
    (folder / "shop.proto").write_text(EXAMPLE)
    page = folder / "api.md"
    assert write(page, "--protos", folder).stderr == ""
    return page.read_text()


def section(page: str, heading: str) -> list[str]:
    """Return the lines below a heading that hold something."""
    _, _, rest = page.partition(f"# {heading}\n")
    return [*filter(None, rest.partition("\n#")[0].splitlines())]


def test_the_page_is_what_the_protos_say(tmp_path: Path) -> None:
    page = tmp_path / "api.md"

    ended = write(page)

    assert ended.stderr == ""
    assert page.read_text() == PAGE.read_text(), "run `make generate`"


def test_the_page_says_that_it_is_generated_and_how() -> None:
    first, *_ = PAGE.read_text().splitlines()

    assert "`make generate`" in first


def test_every_declaration_has_its_place_on_the_page() -> None:
    text = PAGE.read_text()
    declared = re.compile(r"^ *(?:service|rpc|message|enum) (\w+)", re.MULTILINE)
    headings = set(re.findall(r"^###+ (?:\w+\.)?(\w+)$", text, re.MULTILINE))

    names = {
        name
        for path in (ROOT / "protos").rglob("*.proto")
        for name in declared.findall(path.read_text())
    }

    assert names == headings


@pytest.mark.parametrize("generated", ["house", "example"])
def test_every_link_within_the_page_leads_to_one_heading(
    generated: str, example: str
) -> None:
    text = PAGE.read_text() if generated == "house" else example
    seen: dict[str, int] = {}
    anchors = []
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        count = seen.setdefault(anchor, 0)
        seen[anchor] += 1
        anchors.append(f"{anchor}-{count}" if count else anchor)

    links = re.findall(r"\]\(#([^)]+)\)", text)

    assert links
    assert set(links) <= set(anchors)


def test_calls_are_told_with_who_streams_and_what_they_change(example: str) -> None:
    order, receipt = "[Order](#order)", "[Receipt](#receipt)"

    assert section(example, "Shop.Buy") == [
        f"{order} → {receipt} (unary, idempotent)",
        "Buy buys.",
    ]
    assert section(example, "Shop.Watch")[0] == (
        f"{order} → stream of {receipt} (the server streams, no side effects)"
    )
    assert section(example, "Shop.Load")[0] == (
        f"stream of {order} → {receipt} (the client streams)"
    )
    assert section(example, "Shop.Talk") == [
        f"stream of {order} → stream of {receipt} (both sides stream)",
        "**Deprecated.**",
        "Talk does both.",
    ]


def test_comments_keep_their_paragraphs_and_are_no_markup(example: str) -> None:
    assert section(example, "Shop") == [
        "Shop sells.",
        r"It is open \| closed, and takes \* and \`x\`.",
    ]


def test_fields_are_told_with_type_presence_and_comment(example: str) -> None:
    assert section(example, "Order") == [
        "Order is what is wanted.",
        "One of `payment`: How to pay.",
        "| number | field | type | presence | meaning |",
        "|---|---|---|---|---|",
        "| 2 | `size` | [Order.Size](#ordersize) | plain | How much. |",
        "| 1 | `cents` | int64 | optional | What it may cost, in cents. |",
        "| 3 | `names` | string | repeated | Whose. |",
        "| 4 | `others` | string → [Receipt](#receipt) | map | Other things. |",
        "| 5 | `coins` | double | one of `payment` | In coins. |",
        "| 6 | `card` | string | one of `payment` | **Deprecated.**<br>By card. |",
        "| 7 | `time` | `google.protobuf.Timestamp` | optional | When it was made. |",
    ]
    assert section(example, "Receipt")[1:] == ["It has no fields."]


def test_values_are_told_with_number_and_comment(example: str) -> None:
    assert section(example, "Order.Size")[1:] == [
        "| number | value | meaning |",
        "|---|---|---|",
        "| 0 | `SIZE_UNSPECIFIED` | Not said. |",
        "| 7 | `SIZE_LARGE` | A lot. |",
    ]


def test_protos_that_do_not_compile_leave_the_page_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "wrong.proto").write_text('syntax = "proto3"; message {}')
    page = tmp_path / "api.md"
    page.write_text("before")

    ended = write(page, "--protos", tmp_path)

    assert ended.returncode != 0
    assert "wrong.proto:1" in ended.stderr
    assert page.read_text() == "before"
