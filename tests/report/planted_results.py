"""Made-up results for the tests of the report: from two plain arms to everything that a page can show."""

from html.parser import HTMLParser

from xlstance.evaluation.results import ArmResult, make_results

HOSTILE = "<script>alert('&')</script>"
LANGUAGES = ("de", "en")


def figures(mono=0.8, cross=0.6, multi=0.5, distance=300.0, notes=(), languages=LANGUAGES):
    one = {"map": mono, "map_micro": mono, "recall@1": mono, "recall@10": mono, "queries": 20}
    return {
        "mono": one,
        "cross": {**one, "map": cross, "recall@1": cross},
        "multi": {
            **{**one, "map": multi, "recall@10": multi, "rank_distance": distance},
            **{"rank_distance_chance": 1000.0, "rank_distance_share": distance / 1000, "diagonal_gap": mono - cross},
            **{"same_language_first": 0.7, "same_language_first_chance": 0.5},
        },
        "per_pair": {
            f"{a}->{b}": {"map": mono if a == b else cross, "recall@1": 0.1, "queries": 10}
            for a in languages
            for b in languages
        },
        "notes": list(notes),
    }


def arm(name, seed=0, **values):
    return ArmResult(name=name, seed=seed, benchmarks={"xquad-r": figures(**values)})


def two_arms():
    return make_results([arm("X-Y", cross=0.61), arm("hybrid", mono=0.9)], {"alpha": 0.5})


def with_tests(found, *certain):
    """Results with the tests of a benchmark, in which these (arm, setting, figure) lead for certain."""
    leaders = [
        {"arm": arm, "setting": setting, "figure": figure, "p": 0.001, "p_holm": 0.008, "certain": True}
        for arm, setting, figure in certain
    ]
    leaders.append({"arm": "hybrid", "setting": "multi", "figure": "map", "p": 0.2, "p_holm": 0.4, "certain": False})
    interval = {"arm": "hybrid", "setting": "mono", "figure": "map", "value": 0.9, "low": 0.88, "high": 0.92}
    lead = {
        **{"setting": "mono", "figure": "map", "arm": "X-Y", "other": "hybrid", "effect": -0.75},
        **{"difference": -0.1, "low": -0.1234, "high": -0.0765},
    }
    tests = {"units": 48, "seeds": [0], "resamples": 10_000, "confidence": 0.95, "comparisons": [lead]}
    return {**found, "significance": {"xquad-r": {**tests, "leaders": leaders, "intervals": [interval]}}}


def trained(name, kind, alpha, rise=0.0, **values):
    """A trained arm with figures by language and of its search."""
    own = figures(mono=0.8 + rise, cross=0.6 + 2 * rise, multi=0.5 + rise, languages=("ar", "de", "en"), **values)
    own["per_language"] = {
        lang: {"mono": {"map": own["mono"]["map"]}, "multi": {"map": own["multi"]["map"]}}
        for lang in ("ar", "de", "en")
    }
    own["passages"] = {"ar": 40, "de": 50, "en": 60}
    own["search"] = {"index": "IVF16,Flat", "top_k": 100, "agreement@10": 0.97, "overlap@100": 0.9321}
    return ArmResult(
        name=name,
        seed=0,
        sampler={"kind": kind, "alpha": alpha, "alpha_schedule": {}},
        augmentation=["switched"],
        train={
            **{"steps": 400, "batch_size": 128, "sources": ["world"], "start": "", "parameters": 549_760},
            "rows": {"ar->ar": 100, "en->de": 80},
        },
        benchmarks={"xquad-r": own},
    )


def baseline(name, rise):
    made = trained(name, "", 0.0, rise)
    return ArmResult(name=name, seed=0, benchmarks=made.benchmarks)


def pair(query, passage, **more):
    return {"query": dict(zip(("lang", "text"), query, strict=True)), **more} | {
        "passage": dict(zip(("lang", "text"), passage, strict=True))
    }


EXAMPLE = {
    "augmentation": "switched",
    "kind": "code_switching",
    "before": pair(("en", "who built the old bridge"), ("en", "The bridge was built by masons.")),
    "after": pair(
        ("en", "who built the alte bridge"),
        ("ar", "بناه الرومان في القرن الثاني"),
        negative={"lang": "en", "text": "Another bridge & river."},
    ),
}
SWEEP = {
    "curves": [
        {
            **{"label": "all sources", "x": [0.0, 0.5, 1.0]},
            "mean": {"mono": [0.5, 0.6, 0.7], "rank_distance": [10.0, 12.0, None]},
            "low": {"mono": [0.45, 0.55, 0.65]},
            "high": {"mono": [0.55, 0.65, 0.75]},
        }
    ],
    "pareto": [{"alpha": 0.5, "mono": 0.6}],
    "recommended": {"text": "Take alpha 0.5."},
    "trials": [{"trial": "t1", "alpha": 0.0}, {"trial": "t2", "alpha": 0.5, "state": "stopped"}],
}
PROVENANCE = {
    "tables": [
        {"of": "world", "table": "pairs", "rows": 40_000, "fingerprint": "9d4bf3c300000000"},
        {"of": "xquad-r", "table": "queries", "rows": 1190, "fingerprint": "8ef82ac965c851e7"},
    ],
    "data": [
        {"name": "world", "path": "", "fetch": ""},
        {"name": "xquad-r", "path": "xquad-r", "fetch": "xquad-r"},
        {"name": "mine", "path": "my/pairs.tsv", "fetch": ""},
    ],
    "lock": "0123456789abcdef",
    "settings": "reproduce.yaml",
}
METRICS = [
    {"arm": arm, "seed": 0, "step": step, "kind": "mono", "loss": 3 - step / 500, "validation_loss": 2 - step / 500}
    for arm in ("x-x-mono", "hybrid-25", "warm-up")
    for step in range(0, 400, 10)
]


def everything():
    """Results in which every section has something to show: two hybrid arms, both pure ones, and two baselines."""
    arms = [
        baseline("bm25", -0.2),
        trained("x-x-mono", "x-x-mono", 0.5, 0.1),
        trained("x-y", "x-y", 0.5, 0.0),
        trained("hybrid-25", "hybrid", 0.25, 0.05),
        trained("hybrid-75", "hybrid", 0.75, 0.12),
        baseline("translate-test", -0.1),
    ]
    leaking = {"leaking": 0, "warned": 15}
    leakage = {
        **{"on_leakage": "stop", "rows": 2000, **leaking, "by_source": {"world": {"rows": 2000, **leaking}}},
        **{"by_benchmark": {"xquad-r": leaking}, "by_rule": {"ngrams": leaking}},
    }
    claim = {
        **{"name": "best", "text": "hybrid is best", "verdict": "supported", "why": "lead +0.01", "arm": "hybrid"},
        **{"benchmark": "xquad-r", "role": "test"},
    }
    evidence = {"claims": [claim]}
    looks = {"xquad-r": {"role": "test", "models": 6}}
    found = make_results(arms, {"encoder": {"model": ""}}, leakage=leakage, evidence=evidence, looks=looks)
    compared = [{"title": "one and two", "lines": ["training.steps: 400 and 800"]}]
    return {
        **with_tests(found, ("hybrid-75", "multi", "map")),
        **{"examples": [EXAMPLE], "sweep": SWEEP, "compared": compared, "provenance": PROVENANCE},
        "code_version": "0.1.0+g655270f2a1b3.dirty",
        "machine": {"cpu": "Planted", "cores": 2, "torch": None},
    }


class Reader(HTMLParser):
    """Checks nesting, and collects tags, attributes and text."""

    void = frozenset(["meta", "br"])

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    @property
    def said(self):
        """All text that a reader sees, in one line."""
        return " ".join(" ".join(self.text).split())

    def values(self, name):
        return [value for own, value in self.attributes if own == name]
