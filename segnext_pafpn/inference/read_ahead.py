"""Read what comes next while the network works on what is there."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

from segnext_pafpn.errors import UserError

Item = TypeVar("Item")
Content = TypeVar("Content")


def read_ahead(
    items: Sequence[Item], read: Callable[[Item], Content], readers: Executor, count: int
) -> Iterator[tuple[Item, Content | UserError]]:
    """Each item with what ``read`` gives for it, in order; at most ``count`` are read before they are asked for.

    A UserError of ``read`` comes in place of the content, so that the others go on.
    """
    pending: deque[tuple[Item, Future]] = deque()
    try:
        for item in items:
            pending.append((item, readers.submit(read, item)))
            if len(pending) > count:
                yield _result(*pending.popleft())
        while pending:
            yield _result(*pending.popleft())
    finally:  # left early: what nobody will ask for need not be read
        for _, future in pending:
            future.cancel()


def _result(item: Item, future: Future) -> tuple[Item, object]:
    try:
        return item, future.result()
    except UserError as error:
        return item, error
