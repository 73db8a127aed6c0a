"""Results as text and as files: plain values and arrays alone, so that reading runs no code."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from skinfluence.inspection.tables import cut

FORMAT = 1
"""Of files and texts. Raised when an older reader would misread what is written."""

_HEADER = "header"
_PLAIN = "biufmMUS"
_TIMES = "mM"


def to_text(header: dict[str, Any], fields: Mapping[str, Any]) -> str:
    """Return a header and named values as JSON."""
    return json.dumps(
        {**header, "format": FORMAT, "fields": {name: _encoded(v) for name, v in fields.items()}},
        allow_nan=False,
        ensure_ascii=False,
    )


def from_text(text: str, made: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Any:
    """Return what is made of the header and the named values of a text."""
    with _whole("A text", "what to_json() returned is accepted."):
        return made(*_parts(json.loads(text), {}))


def to_file(path: Any, header: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Write a header and named values to a compressed npz file of exactly this name."""
    arrays = {
        f"field_{name}": value
        for name, value in fields.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in _PLAIN
    }
    rest = {name: value for name, value in fields.items() if f"field_{name}" not in arrays}
    text = np.frombuffer(to_text(header, rest).encode(errors="surrogatepass"), dtype=np.uint8)
    with open(path, "wb") as file:
        members: dict[str, Any] = {_HEADER: text, **arrays}
        np.savez_compressed(file, **members)


def from_file(path: Any, made: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Any:
    """Return what is made of the header and the named values of a file."""
    way = (
        "the name of a file that save() wrote is accepted. What to_json() returned is read by "
        "from_json()."
    )
    with _whole(repr(cut(path, 200)), way), np.load(Path(path), allow_pickle=False) as file:
        text = file[_HEADER].tobytes().decode(errors="surrogatepass")
        arrays = {name.removeprefix("field_"): file[name] for name in file.files if name != _HEADER}
        return made(*_parts(json.loads(text), arrays))


class Refused(ValueError):
    """Said of a whole text or file that is not wanted here: another class, format or rows."""


@contextmanager
def _whole(what: str, way: str) -> Iterator[None]:
    """Turn whatever goes wrong while something damaged is read into one error with a way on."""
    try:
        yield
    except Refused as error:
        raise ValueError(str(error)) from None
    except FileNotFoundError:
        raise
    except Exception as error:
        reason = cut(f"{type(error).__name__}: {error}", 200)
        if "pickle" in reason:  # numpy's advice is to load it all the same
            reason = "objects, which are not read"
        raise ValueError(f"{what} was given, and holds no result ({reason}); {way}") from error


def _parts(read: Any, arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the named values, those of a file's arrays among them."""
    if read["format"] != FORMAT:
        raise Refused(
            f"A result in the format {read['format']!r} was given, written by skinfluence "
            f"{read['facts'].get('skinfluence')}; this version reads the format {FORMAT}. Upgrade "
            "skinfluence to read it."
        )
    fields = {name: _decoded(value) for name, value in read.pop("fields").items()}
    return read, {**fields, **arrays}


# ---------------------------------------------------------------------------------------- values


def _encoded(value: Any) -> Any:
    """Return a value in what JSON has: plain values as they are, the rest named by its kind."""
    if isinstance(value, np.ndarray):
        return _encoded_array(value)
    if isinstance(value, np.generic):
        return {"scalar": _encoded_array(np.asarray(value))}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": repr(value)}
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(each) for each in value]}
    if isinstance(value, Mapping):
        return {"mapping": {str(name): _encoded(each) for name, each in value.items()}}
    if isinstance(value, datetime.datetime):
        kind = "Timestamp" if hasattr(value, "nanosecond") else "datetime"
        name = "key" if hasattr(value.tzinfo, "key") else "zone"  # as older versions of pandas say
        return {kind: [value.isoformat(), getattr(value.tzinfo, name, None)]}
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        if hasattr(value, "nanoseconds"):
            return {"Timedelta": str(value)}
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    return str(value)  # intervals, periods: a label that reads the same


def _encoded_array(values: Any) -> dict[str, Any]:
    kind = values.dtype.kind
    numbers = values.astype(np.int64) if kind in _TIMES else values
    plain = [_encoded(each) for each in numbers.ravel().tolist()]
    dtype = values.dtype.str if kind in _PLAIN else "object"
    return {"array": dtype, "shape": list(values.shape), "values": plain}


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _decoded_array(value)
    ((kind, content),) = value.items()
    return _DECODERS[kind](content)


def _decoded_array(value: dict[str, Any]) -> Any:
    plain = [_decoded(each) for each in value["values"]]
    if value["array"] == "object":
        out = np.fromiter(plain, dtype=object, count=len(plain))
    else:
        dtype = np.dtype(value["array"])
        if dtype.kind not in _PLAIN:
            raise ValueError(f"an array of type {dtype}; numbers, times and text are accepted")
        out = (
            np.array(plain, dtype=np.int64).astype(dtype)
            if dtype.kind in _TIMES
            else np.array(plain, dtype=dtype)
        )
    return out.reshape(value["shape"])


def _datetime(content: Any) -> Any:
    text, zone = content
    return _in_zone(datetime.datetime.fromisoformat(text), zone)


def _timestamp(content: Any) -> Any:
    """Return a time of pandas; where that is not installed, one without nanoseconds."""
    try:
        from pandas import Timestamp
    except ImportError:
        return np.datetime64("NaT") if content[0] == "NaT" else _datetime(content)
    text, zone = content
    return _in_zone(Timestamp(text), zone)


def _timedelta(text: str) -> Any:
    """Return a duration of pandas; its text where that is not installed."""
    try:
        from pandas import Timedelta
    except ImportError:
        return text
    return Timedelta(text)


def _in_zone(time: Any, zone: str | None) -> Any:
    """Return a time in a zone of this name; where none is known, at its fixed offset."""
    if zone is None:
        return time
    try:
        if hasattr(time, "tz_convert"):  # to the kind of zone that pandas itself takes
            return time.tz_convert(zone)
        return time.astimezone(ZoneInfo(zone))
    except KeyError:  # ZoneInfoNotFoundError: a system without zones
        return time


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "scalar": lambda content: _decoded_array(content)[()],
    "number": float,
    "bytes": lambda text: text.encode("latin-1"),
    "tuple": lambda each: tuple(map(_decoded, each)),
    "mapping": lambda each: {name: _decoded(value) for name, value in each.items()},
    "date": datetime.date.fromisoformat,
    "datetime": _datetime,
    "Timestamp": _timestamp,
    "timedelta": lambda parts: datetime.timedelta(*parts),
    "Timedelta": _timedelta,
}
