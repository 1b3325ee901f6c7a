// What the person at the page says about items: good or bad, and notes.

const sheetJson = read("sheet");
const MARKS_KEY = `mediascribe-marks:${sheetJson.output}`;
const marks = new Map(loadMarks());

function loadMarks() {
  try {
    return JSON.parse(kept.get(MARKS_KEY)) || [];
  } catch {
    return [];
  }
}

const markOf = (item) => marks.get(item.item_id) || { mark: "", note: "" };

function setMark(item, change) {
  const said = { ...markOf(item), ...change, run_id: item.run_id, marked_at: new Date().toISOString() };
  if (said.mark || said.note) marks.set(item.item_id, said);
  else marks.delete(item.item_id);
  kept.set(MARKS_KEY, JSON.stringify([...marks]));
  showTally();
}

function showTally() {
  const all = [...marks.values()];
  const count = (mark) => all.filter((one) => one.mark === mark).length;
  const notes = all.filter((one) => one.note).length;
  at("tally").textContent = marks.size ? `${count("good")} good, ${count("bad")} bad, ${notes} ${notes === 1 ? "note" : "notes"}` : "";
  at("export").disabled = !marks.size;
}

/** The marks as CSV (RFC 4180), a line for each item. */
function marksCsv() {
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = [...marks].map(([id, one]) => [id, one.mark, one.note, one.run_id, one.marked_at]);
  return [["item_id", "mark", "note", "run_id", "marked_at"], ...lines].map((line) => line.map(quoted).join(",") + "\r\n").join("");
}

function exportMarks() {
  const address = URL.createObjectURL(new Blob([marksCsv()], { type: "text/csv" }));
  const link = make("a", { href: address, download: "marks.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

at("export").addEventListener("click", exportMarks);
showTally();
