"""The page that a student gets, the table of a class, and the page where answers in words are read."""

import csv
import html
import io
import json
from collections.abc import Mapping
from typing import Any

from bea_course.kernel import readable
from bea_course.notebook import Assignment

__all__ = ["as_html", "reading_page", "table"]

STYLE = """<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}
pre{white-space:pre-wrap;background:#f4f4f4;padding:.8em}.entry{border-top:1px solid #999;padding:.6em 0}
.now{outline:3px solid #06c}input{font:inherit}label{margin-right:1em}</style>"""


def mark_of(entry: Mapping[str, Any]) -> str:
    """A question's points as text; those that a person still has to give as a dash."""
    return "–" if entry["points"] is None else f"{entry['points']:g}"


def final(result: Mapping[str, Any]) -> float:
    """The points after what lateness costs."""
    return result["points"] * (1 - result.get("lost", 0))


def lines_on(entry: Mapping[str, Any]) -> list[str]:
    """What there is to say about one question."""
    lines = [entry["comment"]] if entry.get("comment") else []
    if entry["by_hand"] and not entry.get("comment"):
        words = "A person reads this answer." if entry["points"] is None else ""
        lines.append("No answer was found: the placeholder is as it was." if entry.get("unanswered") else words)
    if entry.get("fault"):
        lines.append(f"Your answer was stopped: {entry['fault']}.")
    lines += [f"A cell stopped: {error}" for error in entry.get("errors", ())]
    for test in entry.get("tests", ()):
        kind = "A test that was not in your copy" if test["hidden"] else "The check in your copy"
        lines.append(f"{kind}: {test['points']:g} of {test['of']:g}. {test['message']}")
    return [line for line in lines if line]


def as_html(result: Mapping[str, Any]) -> str:
    """The page on one submission."""
    say = html.escape
    head = f"{final(result):g} of {result['of']} points"
    if result["to_read"]:
        head += f", and {result['to_read']} that a person still has to give"
    parts = [f"<title>{say(result['title'])}</title>{STYLE}<h1>{say(result['title'])}</h1><p><strong>{head}</strong>"]
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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    questions = list(next(iter(results.values()))["questions"]) if results else []
    writer.writerow(["student", "id", "points", "of", "to read", *questions, "handed in", "note"])
    for student, result in results.items():
        entries = result["questions"]
        marks = ["" if entries[q]["points"] is None else f"{entries[q]['points']:g}" for q in questions]
        row = [student, result.get("id", ""), f"{final(result):g}", result["of"], result["to_read"], *marks]
        writer.writerow([*map(harmless, row), result.get("when", ""), harmless(result["note"])])
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if not isinstance(cell, str):
        return cell
    return ("'" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else "") + readable(cell)


READER = """<p>Keys: digits give points (<kbd>.</kbd> adds a half), <kbd>j</kbd>/<kbd>k</kbd> next and previous,
<kbd>c</kbd> comment, <kbd>Esc</kbd> leaves it. Points are kept in this browser; <button id=save>save by_hand.csv</button>
<span id=left></span></p><div id=list></div>
<script>
const key="bea-"+DATA.assignment, kept=JSON.parse(localStorage.getItem(key)||"{}");let at=0,cards=[];
const list=document.getElementById("list");
for(const q of DATA.questions){const h=document.createElement("h2");h.textContent=q.title+" ("+q.of+" points)";
 const r=document.createElement("pre");r.textContent=q.text;list.append(h,r);
 for(const e of q.entries){const id=e.student+"|"+q.name;const d=document.createElement("div");d.className="entry";
  const a=document.createElement("pre");a.textContent=e.answer||"(nothing found: see the notebook)";
  const s=document.createElement("strong");s.textContent=e.student+" ";
  const p=document.createElement("input"),c=document.createElement("input");p.size=4;c.size=60;
  const old=kept[id]||{points:e.points??"",comment:e.comment||""};p.value=old.points;c.value=old.comment;
  const keep=()=>{kept[id]={student:e.student,question:q.name,points:p.value,comment:c.value};
   localStorage.setItem(key,JSON.stringify(kept));count()};p.oninput=c.oninput=keep;
  const lp=document.createElement("label"),lc=document.createElement("label");lp.append("points ",p);lc.append("comment ",c);
  d.append(s,a,lp,lc);list.append(d);cards.push({d,p,c,keep,of:q.of});
  if(p.value!==""&&!kept[id])kept[id]={student:e.student,question:q.name,points:p.value,comment:c.value};}}
function count(){document.getElementById("left").textContent=cards.filter(x=>x.p.value==="").length+" to read"}
function go(n){if(!cards.length)return;cards[at].d.classList.remove("now");at=Math.max(0,Math.min(cards.length-1,n));
 cards[at].d.classList.add("now");cards[at].d.scrollIntoView({block:"center"})}
document.onkeydown=e=>{if(e.target.tagName==="INPUT"){if(e.key==="Escape"||e.key==="Enter")e.target.blur();return}
 const x=cards[at];if(!x||e.ctrlKey||e.metaKey)return;
 if(/^[0-9]$/.test(e.key)&&+e.key<=x.of){x.p.value=e.key;x.keep()}
 else if(e.key==="."){x.p.value=Math.min(x.of,Math.floor(+x.p.value||0)+.5);x.keep()}
 else if(e.key==="j")go(at+1);else if(e.key==="k")go(at-1);
 else if(e.key==="c"){x.c.focus();e.preventDefault()}};
document.getElementById("save").onclick=()=>{const f=t=>'"'+String(t).replaceAll('"','""')+'"';
 const t=["student,question,points,comment",...Object.values(kept).filter(x=>x.points!=="").map(
  x=>[x.student,x.question,x.points,x.comment].map(f).join(","))].join("\\n")+"\\n";
 const a=document.createElement("a");a.href=URL.createObjectURL(new Blob([t]));a.download="by_hand.csv";a.click()};
count();cards.length&&go(Math.max(0,cards.findIndex(x=>x.p.value==="")));
</script>"""


def reading_page(assignment: Assignment, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page where a person reads all answers in words, question by question, beside the rubric."""
    questions = []
    for question in assignment.questions:
        if question.by_hand:
            entries = [
                {"student": student, **{k: entry.get(k) for k in ("answer", "points", "comment")}}
                for student, result in results.items()
                if (entry := result["questions"][question.name])["points"] is None or entry.get("by_person")
            ]
            text = f"{question.text}\n\n{question.solution}".strip()
            questions.append(
                {"name": question.name, "title": question.title, "of": question.points, "text": text}
                | {"entries": entries}
            )
    data = json.dumps({"assignment": assignment.number, "questions": questions}).replace("<", "\\u003c")
    title = html.escape(assignment.title)
    return f"<title>Read: {title}</title>{STYLE}<h1>{title}</h1><script>const DATA={data}</script>{READER}\n"
