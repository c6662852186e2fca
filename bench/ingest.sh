#!/bin/sh
# Takes a Zeek conn log into a case and has DuckDB turn the same file into Parquet
# with zstd, one after the other on the same machine, and prints the ratio.
#
#   bench/ingest.sh CONN.LOG [RUNS]
#
# CONN.LOG is TSV, decompressed, with the columns of Zeek 2 to 3 (the 20 columns of
# the table below). DuckDB comes from npm into bench/bin (npm must be installed);
# neither it nor what is written is committed. Both use all cores.
set -eu
log=$(realpath "$1")
runs=${2:-3}
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/firetrail-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$bin"

(cd "$here/.." && go build -o "$bin/firetrail" ./cmd/firetrail)
if ! [ -d "$bin/node_modules/@duckdb/node-api" ]; then
	(cd "$bin" && npm init -y >/dev/null 2>&1 && npm install --no-audit --no-fund --silent @duckdb/node-api)
fi
cat >"$bin/convert.mjs" <<'JS'
import { DuckDBInstance } from '@duckdb/node-api';
const [log, out] = process.argv.slice(2);
const db = await (await DuckDBInstance.create(':memory:')).connect();
const types = { ts: 'DOUBLE', uid: 'VARCHAR', 'id.orig_h': 'VARCHAR', 'id.orig_p': 'INTEGER', 'id.resp_h': 'VARCHAR',
  'id.resp_p': 'INTEGER', proto: 'VARCHAR', service: 'VARCHAR', duration: 'DOUBLE', orig_bytes: 'BIGINT', resp_bytes: 'BIGINT',
  conn_state: 'VARCHAR', local_orig: 'VARCHAR', missed_bytes: 'BIGINT', history: 'VARCHAR', orig_pkts: 'BIGINT',
  orig_ip_bytes: 'BIGINT', resp_pkts: 'BIGINT', resp_ip_bytes: 'BIGINT', tunnel_parents: 'VARCHAR' };
const columns = Object.entries(types).map(([n, t]) => `'${n}':'${t}'`).join(',');
await db.run(`copy (select * from read_csv('${log}', delim='\t', comment='#', header=false, nullstr='-', auto_detect=false,
  columns={${columns}})) to '${out}' (format parquet, compression zstd)`);
JS

now() { date +%s%N; }
rm -f "$work/a" "$work/b"
for i in $(seq "$runs"); do
	start=$(now)
	"$bin/firetrail" ingest --quiet --case "$work/case$i" "$log"
	middle=$(now)
	node "$bin/convert.mjs" "$log" "$work/duck.parquet"
	end=$(now)
	echo $(((middle - start) / 1000000)) >>"$work/a"
	echo $(((end - middle) / 1000000)) >>"$work/b"
done
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }
a=$(median "$work/a")
b=$(median "$work/b")
rows=$(grep -vc '^#' "$log")
gz=$(gzip -6 -c "$log" | wc -c)
case=$(du -sb "$work/case1/segments" "$work/case1/flows" "$work/case1/blocks" "$work/case1/sums" | awk '{n += $1} END {print n}')
duck=$(wc -c <"$work/duck.parquet")
awk -v a="$a" -v b="$b" -v rows="$rows" -v gz="$gz" -v case="$case" -v duck="$duck" 'BEGIN {
	printf "%-34s %10s %12s\n", "", "firetrail", "duckdb"
	printf "%-34s %10d %12d\n", "milliseconds, median", a, b
	printf "%-34s %10d %12d\n", "rows a second", rows * 1000 / a, rows * 1000 / b
	printf "%-34s %10.1f %12.1f\n", "bytes a row on disk", case / rows, duck / rows
	printf "%-34s %10.2f %12.2f\n", "disk, of gzip -6", case / gz, duck / gz
	printf "time of firetrail / time of duckdb: %.2f (firetrail also hashes, rolls up flows and indexes blocks)\n", a / b
}'
