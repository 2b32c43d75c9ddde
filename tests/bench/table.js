// Prints what was measured, a line per figure, against its goal; and below a row, what others took for the same work.
import { peers } from "./peers/index.js";

const WIDTHS = [44, 12, 12, 9, 12];

function line(cells) {
  return cells.map((cell, i) => (i === 0 ? String(cell).padEnd(WIDTHS[i]) : String(cell).padStart(WIDTHS[i] ?? 6))).join(" ");
}

export function printHead() {
  console.log(line(["work", "yardstick", "Troupe", "ratio", "goal"]));
  console.log("-".repeat(100));
}

function figure(value, unit) {
  if (value === undefined || value === null) return "";
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}

/** A check: {label, theirs?, ours, unit, value (what is held against the goal), goal, better: "less" | "more"}. */
export function isMet(check) {
  if (check.goal === undefined) return null;
  return check.better === "more" ? check.value >= check.goal : check.value <= check.goal;
}

export function printRow(row, checks) {
  for (const check of checks) {
    const ratio = check.isRatio ? check.value.toFixed(2) : check.theirs ? (check.ours / check.theirs).toFixed(2) : "";
    const met = isMet(check);
    const goal = met === null ? "" : `${check.better === "more" ? ">=" : "<="} ${check.goal}${check.isRatio ? "x" : ` ${check.unit}`}`;
    console.log(line([`${row.work}: ${check.label}`.slice(0, 64), figure(check.theirs, check.unit), figure(check.ours, check.unit), ratio, goal]),
      met === null ? "" : met ? "pass" : "MISS");
  }
}

/** "beside: nginx 3.1 us (1.0x bare), 152,000 /s": the number that the row names, and how often the yardstick's it is. */
export function printBeside(row, figures) {
  const here = Object.keys(row.peers ?? {}).filter((name) => figures[name] !== undefined);
  if (here.length === 0 || row.beside === undefined) return;
  const { key, unit, scale = 1, and } = row.beside;
  const words = here.map((name) => {
    const theirs = figures[name][key], more = and ? `, ${figure(figures[name][and.key], and.unit)}` : "";
    return `${peers[name].name ?? name} ${figure(theirs * scale, unit)} (${(theirs / figures.bare[key]).toFixed(1)}x)${more}`;
  });
  console.log(`    beside: ${words.join("; ")}`);
}
