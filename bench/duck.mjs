// Runs one statement in DuckDB and prints its rows, tab-separated.
import { DuckDBInstance } from '@duckdb/node-api';
const db = await (await DuckDBInstance.create(':memory:')).connect();
const reader = await db.runAndReadAll(process.argv[2]);
for (const row of reader.getRows()) console.log(row.map(String).join('\t'));
