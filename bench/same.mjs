// Compares an answer of "firetrail stats --format tsv" with DuckDB's rows, and fails with
// the first difference:
//
//	node same.mjs OURS THEIRS KEYS LIMIT
//
// The first KEYS columns are the group, the next is the count that an answer with a LIMIT is
// ordered by: which of the groups with the smallest count are in such an answer is left
// open by the statement, so they are not compared. Estimates, marked with ~, may be off
// as far as the documentation of stats says, and half a percent for quantiles, which only
// one of the two interpolates.
import { readFileSync } from 'node:fs';
const [ours, theirs, keys, limit] = process.argv.slice(2);
const rows = (file) => readFileSync(file, 'utf8').replace(/\n$/, '').split('\n').map((line) => line.split('\t'));

// number gives times as microseconds since 1970, and undefined for texts.
function number(cell) {
  const stamp = cell.match(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/);
  if (stamp) return Date.parse(`${stamp[1]}Z`) * 1000 + Number((stamp[2] ?? '').padEnd(6, '0').slice(0, 6));
  const value = Number(cell.replace(/^~/, ''));
  return cell === '' || Number.isNaN(value) ? undefined : value;
}

function alike(a, b, name) {
  if (a === b) return true;
  const [x, y] = [number(a), number(b)];
  const bound = !a.startsWith('~') ? 1e-9 : name.startsWith('distinct') ? 0.02 : 0.005;
  return x !== undefined && y !== undefined && Math.abs(x - y) <= bound * Math.max(Math.abs(x), Math.abs(y));
}

const key = (row) => row.slice(0, keys).map((cell) => String(number(cell) ?? cell)).join('\t');

function comparable(all) {
  const least = limit > 0 && all.length >= limit ? Math.min(...all.map((row) => Number(row[keys]))) : -1;
  return all.filter((row) => Number(row[keys]) > least).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

const [head, ...mine] = rows(ours);
const left = comparable(mine);
const right = comparable(rows(theirs).map((row) => row.map((cell) => (cell === 'null' ? '' : cell))));
let fault = '';
if (left.length === 0) fault = 'nothing to compare';
else if (left.length !== right.length) fault = `${left.length} groups, DuckDB has ${right.length}`;
for (let i = 0; i < left.length && !fault; i++) {
  if (left[i].length !== right[i].length || !left[i].every((cell, k) => alike(cell, right[i][k], head[k]))) fault = `${left[i]}; DuckDB has ${right[i]}`;
}
if (fault) {
  console.error(`answers differ: ${fault}`);
  process.exit(1);
}
