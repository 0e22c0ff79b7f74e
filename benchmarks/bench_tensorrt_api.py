"""D3: names of TensorRT that the backend uses and that one of five releases lacks, and whether planted ones are found.

``EDGETL_SHARED`` names the folder with ``tensorrt-api``: what NVIDIA's own bindings of each release have.
"""

from __future__ import annotations

from _results import Results, parser, shared_data
from _tensorrt_api import audit, planted, sources
from _tensorrt_names import releases


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("tensorrt_api", quick=options.quick)
    data = shared_data()
    known = [] if data is None else releases(data.parent / "tensorrt-api")
    if not known:
        results.row(
            "D3 names", None, "names", target="0", note="not measured: EDGETL_SHARED has no tensorrt-api"
        )
        results.write()
        return
    texts = sources()
    faults, uses = audit(texts, known)
    versions = ", ".join(release.version for release in known)
    results.keep("faults", [fault._asdict() for fault in faults])
    results.row(
        "D3 names that a release lacks, unguarded",
        len(faults),
        "names",
        n=len(uses),
        target="0",
        met=not faults and len(known) == 5,
        note=f"{len(uses)} uses in {', '.join(texts)} against {versions}",
    )
    found = []
    for changed, word in planted(texts):
        told = [fault.problem for fault in audit(changed, known)[0]]
        found.append(any(word in problem for problem in told))
        results.keep(f"planted {word}", told)
    results.row(
        "D3 planted names found",
        sum(found),
        "of 5",
        n=len(found),
        target="5",
        met=all(found) and len(found) == 5,
        note="an attribute, a flag, a method, an argument and a guard, each wrong",
    )
    results.write()


if __name__ == "__main__":
    main()
