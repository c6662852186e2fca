// Runs one statement in DuckDB and prints its rows, tab-separated. With a file named
// after it, appends the seconds that the statement took, the start of the process and of
// the database not among them.
import { appendFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';
const [sql, times] = process.argv.slice(2);
const db = await (await DuckDBInstance.create(':memory:')).connect();
await db.run('select 1');
const began = performance.now();
const rows = (await db.runAndReadAll(sql)).getRows();
if (times) appendFileSync(times, `${((performance.now() - began) / 1000).toFixed(4)} 0 0 0\n`);
for (const row of rows) console.log(row.map(String).join('\t'));
