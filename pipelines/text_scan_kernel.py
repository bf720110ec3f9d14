"""One pass over the bytes of a text table: whether all is plain, and where whole records end.

A block that is not plain is not refused here: :func:`pipelines.readers.check_block` looks at it
again and says what is wrong with which line. The two agree on what is plain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["scan"]

_QUOTE, _LF, _CR = np.uint8(34), np.uint8(10), np.uint8(13)
_ASCII_END = np.uint8(128)


@njit(cache=True, nogil=True)
def scan(data: npt.NDArray[np.uint8], delimiter: np.uint8) -> tuple[int, int, int, bool]:
    """Look at bytes that begin with a record.

    Returns
    -------
    end : int
        After the last line end outside of quotes: where the last whole record ends; 0 for none.
    odd : int
        The first place that is not plain: a NUL, a byte beyond ASCII, a carriage return that ends
        no line, a blank line, a quote inside a field; the length where there is none.
    line_ends : int
        Before ``end``, within quotes too.
    folded : bool
        Whether a line end stands within quotes before ``end``.
    """
    n = len(data)
    end, odd, counted, within, before_end, folded = 0, n, 0, 0, 0, False
    quoted = False
    # The place before the data is the end of a line.
    previous, earlier = _LF, np.uint8(0)
    for i in range(n):
        byte = data[i]
        if byte == _QUOTE:
            if quoted:
                following = data[i + 1] if i + 1 < n else _LF
                fine = following in (delimiter, _LF, _QUOTE, _CR)
            else:
                fine = previous in (delimiter, _LF, _QUOTE)
            if not fine and odd == n:
                odd = i
            quoted = not quoted
        elif byte == _LF:
            counted += 1
            if quoted:
                within += 1
            else:
                blank = previous == _LF or (previous == _CR and (earlier == _LF or i == 1))
                if blank and odd == n:
                    odd = i
                end, before_end, folded = i + 1, counted, within > 0
        elif byte < np.uint8(14) or byte >= _ASCII_END:
            bad = byte == 0 or byte >= _ASCII_END
            if byte == _CR:
                bad = i + 1 >= n or data[i + 1] != _LF
            if bad and odd == n:
                odd = i
        earlier, previous = previous, byte
    return end, odd, before_end, folded
