"""The page that a student gets, the table of a class, and the page where answers in words are read."""

import csv
import hashlib
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bea_course.kernel import readable
from bea_course.made_of import digest
from bea_course.notebook import Assignment

__all__ = ["as_csv", "as_html", "reading_page", "table"]

STYLE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>:root{color-scheme:light dark;--soft:#f2f2f2;--line:#999;--now:#0b5fc0}
@media (prefers-color-scheme:dark){:root{--soft:#2a2a2a;--line:#777;--now:#7ab8ff}}
body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:.8em;margin:.5em 0}
.entry{border-top:1px solid var(--line);padding:.6em}"""


def mark_of(entry: Mapping[str, Any]) -> str:
    """A question's points as text; those that a person still has to give as a dash."""
    return "–" if entry["points"] is None else f"{entry['points']:g}"


def final(result: Mapping[str, Any]) -> float:
    """The points after what lateness costs."""
    return result["points"] * (1 - result.get("lost", 0))


def lacking(entry: Mapping[str, Any]) -> str:
    """What to say of packages that an answer needs and that are not there; nothing if there are none."""
    names = " and no ".join(entry.get("missing", ()))
    return f"Where this was marked there is no {names}: do without, or ask for it." if names else ""


def lines_on(entry: Mapping[str, Any]) -> list[str]:
    """What there is to say about one question."""
    lines = [entry["comment"]] if entry.get("comment") else []
    if entry["by_hand"] and not entry.get("comment"):
        words = "A person reads this answer." if entry["points"] is None else ""
        lines.append("No answer was found: the placeholder is as it was." if entry.get("unanswered") else words)
    if entry.get("by_person") and not entry["by_hand"]:
        lines.append("A person gave these points; what the tests say below did not decide.")
    if entry.get("fault"):
        lines.append(f"Your answer was stopped: {entry['fault']}.")
    lines += [f"A cell stopped: {error}" for error in entry.get("errors", ())]
    lines.append(lacking(entry))
    said: dict[str, list[str]] = {}
    for test in entry.get("tests", ()):
        kind = "A test that was not in your copy" if test["hidden"] else "The check in your copy"
        said.setdefault(test["message"], []).append(f"{kind}, {test['points']:g} of {test['of']:g}")
    for message, tests in said.items():  # what several tests say is said once
        again = [f"and {text[0].lower()}{text[1:]}" for text in tests[1:]]
        lines.append(", ".join([tests[0], *again]) + (f": {message}" if message else "."))
    return [line for line in lines if line]


def as_html(result: Mapping[str, Any]) -> str:
    """The page on one submission."""
    say = html.escape
    head = f"{final(result):g} of {result['of']} points"
    if result["to_read"]:
        head += f", and {result['to_read']} that a person still has to give"
    parts = [
        f"{STYLE}</style><title>{say(result['title'])}</title><h1>{say(result['title'])}</h1><p><strong>{head}</strong>"
    ]
    if result.get("file"):
        when = f", handed in on {result['when'].replace('T', ' at ')}" if result.get("when") else ""
        parts.append(f"<p>{say(result.get('name', ''))}: marked is {say(result['file'])}{say(when)}.")
    if result.get("lost"):
        parts.append(f"<p>{result['points']:g} points, less {100 * result['lost']:g} percent for lateness.")
    if result["note"]:
        parts.append(f"<p>Note: {say(result['note'])}.")
    for entry in result["questions"].values():
        parts.append(f"<div class=entry><h2>{say(entry['title'])}: {mark_of(entry)} of {entry['of']}</h2><ul>")
        parts += [f"<li>{say(line)}" for line in lines_on(entry)]
        parts.append("</ul>")
        if entry.get("answer"):
            parts.append(f"<pre>{say(entry['answer'])}</pre>")
        parts.append("</div>")
    return "\n".join(parts) + "\n"


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A CSV table of {student: result}, one row each, in the order of the names."""
    questions = list(next(iter(results.values()))["questions"]) if results else []
    rows: list[list[Any]] = [["student", "name", "id", "points", "of", "to read", *questions, "handed in", "note"]]
    for student, result in results.items():
        entries = result["questions"]
        marks = ["" if entries[q]["points"] is None else f"{entries[q]['points']:g}" for q in questions]
        known = [student, result.get("name", student), result.get("id", "")]
        note = "; ".join(filter(None, [result["note"], result.get("doubt", "")]))
        sums = [f"{final(result):g}", result["of"], result["to_read"]]
        rows.append([*known, *sums, *marks, result.get("when", ""), note])
    return as_csv(rows)


def as_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as text that a spreadsheet opens."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[harmless(cell) for cell in row] for row in rows])
    return "\ufeff" + text.getvalue()


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if not isinstance(cell, str):
        return cell
    return ("'" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else "") + readable(cell)


READER = """
body{max-width:90em;margin-top:0}header{position:sticky;top:0;background:Canvas;border-bottom:1px solid var(--line);padding:.5em 0}
section{display:grid;grid-template-columns:2fr 3fr;gap:1.5em}aside{position:sticky;top:4em;align-self:start;max-height:85vh;overflow:auto}
.now{outline:3px solid var(--now)}.done strong::after{content:" ✓"}input,button{font:inherit;color:inherit;background:var(--soft);border:1px solid var(--line)}input[size="60"]{width:60%}pre{font:inherit}
kbd{border:1px solid var(--line);border-radius:3px;padding:0 .3em}@media (max-width:50em){section{display:block}aside{position:static}}
</style><title>TITLE</title>
<header><strong id=left role=status></strong> <button id=save>Save by_hand.csv</button> <kbd>0</kbd>–<kbd>9</kbd> points,
<kbd>.</kbd> half a point more, <kbd>Backspace</kbd> none, <kbd>j</kbd> <kbd>k</kbd> next and previous, <kbd>n</kbd> next unread,
<kbd>c</kbd> comment, <kbd>Esc</kbd> leaves it, <kbd>s</kbd> saves</header><h1>TITLE</h1>
<p>Points are kept in this browser, also if it is closed, until you save them into the folder of this page.</p>
<script>const DATA=JSON</script><script>
const place=DATA.place,kept=JSON.parse(localStorage.getItem(place)||"{}"),cards=[];let at=0;
const make=(name,text,parent,kind)=>{const x=document.createElement(name);x.textContent=text;x.className=kind||"";parent.append(x);return x};
function count(){const n=cards.filter(x=>!x.points.value).length;
 for(const x of cards)x.box.classList.toggle("done",!!x.points.value);
 document.getElementById("left").textContent=n?n+" of "+cards.length+" to read":"All "+cards.length+" are read: save them."}
function keep(x){kept[x.key]=[x.points.value,x.comment.value,x.base];localStorage.setItem(place,JSON.stringify(kept));count()}
function go(n){if(!cards.length)return;cards[at].box.classList.remove("now");at=Math.max(0,Math.min(cards.length-1,n));
 cards[at].box.classList.add("now");cards[at].box.scrollIntoView({block:"center"})}
const unread=()=>cards.findIndex(x=>!x.points.value);
for(const q of DATA.questions){const part=make("section","",document.body),side=make("aside","",part),list=make("div","",part);
 make("h2",q.title+" ("+q.of+" points)",side);make("pre",q.text,side);
 for(const e of q.entries){const box=make("div","",list,"entry");make("strong",e.student,box);make("small",e.note?" "+e.note:"",box);
  make("pre",e.answer||"(nothing found: see the notebook)",box);
  const field=(name,size)=>{const x=make("input","",make("label",name+" ",box));x.size=size;box.append(" ");return x};
  const x={box,of:q.of,key:e.key,read:e.read,row:[e.student,q.name],points:field("points",4),comment:field("comment",60)};
  // what is kept gives way to points by hand that are others than it was saved as, or made from
  const given=JSON.stringify([e.points,e.comment||""]),mine=kept[e.key];
  [x.points.value,x.comment.value,x.base]=mine&&(e.points==null||mine[2]===given)?mine:[e.points??"",e.comment||"",given];
  x.points.oninput=()=>{const v=+x.points.value.replace(",",".");const bad=!(v>=0&&v<=q.of);x.points.setCustomValidity(bad?"0 to "+q.of:"");
   x.points.reportValidity();if(!bad)keep(x)};
  x.comment.oninput=()=>keep(x);cards.push(x);box.onclick=()=>go(cards.indexOf(x))}}
onkeydown=e=>{const x=cards[at];if(!x||e.ctrlKey||e.metaKey||e.altKey)return;
 if(e.target.tagName==="INPUT"){if(e.key==="Escape"||e.key==="Enter")e.target.blur();return}
 const set=v=>{x.points.value=v;keep(x)};
 if(/^[0-9]$/.test(e.key)&&+e.key<=x.of)set(e.key);else if(e.key===".")set(Math.min(x.of,(+x.points.value||0)+.5));
 else if(e.key==="Backspace")set("");else if(e.key==="j")go(at+1);else if(e.key==="k")go(at-1);
 else if(e.key==="n")go(unread()<0?at:unread());else if(e.key==="s")document.getElementById("save").click();
 else if(e.key==="c")x.comment.focus();else return;e.preventDefault()};
document.getElementById("save").onclick=()=>{const quoted=t=>'"'+String(t).replaceAll('"','""')+'"';
 const done=cards.filter(x=>x.points.value),rows=done.map(x=>[...x.row,x.points.value,x.comment.value,x.read]);
 for(const x of done){x.base=JSON.stringify([+x.points.value.replace(",","."),x.comment.value.trim()]);keep(x)}
 const a=document.createElement("a");a.href=URL.createObjectURL(new Blob([[["student","question","points","comment","read"],...DATA.others,...rows].map(row=>row.map(quoted).join(",")+"\\n").join("")]));
 a.download="by_hand.csv";a.click()};
count();go(Math.max(0,unread()));
</script>"""


def reading_page(assignment: Assignment, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page where a person reads all answers in words, question by question, beside the rubric."""
    secrets = {result.get("made_of", {}).get("secret", "") for result in results.values()}
    place, questions = f"bea {assignment.number} {max(secrets, default='')}", []
    others = [  # points by hand that overrule tests: saved again with the rest
        [student, name, entry["points"], entry["comment"], ""]
        for student, result in results.items()
        for name, entry in result["questions"].items()
        if entry.get("by_person") and not entry["by_hand"]
    ]
    for question in assignment.questions:
        if question.by_hand:
            entries = []
            for student, result in results.items():
                entry = result["questions"][question.name]
                if entry["points"] is None or entry.get("by_person"):
                    kept = {name: entry.get(name) for name in ("answer", "points", "comment")}
                    # points that the browser has kept are those of this answer
                    known = [student, question.name, entry.get("answer")]
                    key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
                    more = {"key": key, "read": digest(entry.get("answer") or ""), "note": result.get("note", "")}
                    entries.append({"student": student, **more, **kept})
            text = f"{question.text.removeprefix('## ')}\n\n*An answer that gets all points.*\n\n{question.solution}"
            questions.append(
                {"name": question.name, "title": question.title, "of": question.points, "text": text}
                | {"entries": entries}
            )
    data = json.dumps({"place": place, "others": others, "questions": questions}).replace("<", "\\u003c")
    page = READER.replace("TITLE", html.escape(assignment.title)).replace("JSON", data, 1)
    return STYLE + page + "\n"
