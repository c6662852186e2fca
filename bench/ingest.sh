# Parts of bench/run: taking logs in.

# take CASE FILE...: ingests the files into a new case, timed as ours.
take() {
	local case=$1
	shift
	rm -rf "$case"
	once ours "$firetrail" ingest --quiet --case "$case" "$@"
}
# events CASE: how many it holds.
events() { "$firetrail" --case "$1" stats '*' --format tsv | sed -n 2p; }
# complete CASE EVENTS: fails where the case does not hold as many.
complete() {
	local got
	got=$(events "$1")
	[ "$got" -eq "$2" ] || { echo "$1 holds $got events, there are $2 records" >&2; exit 1; }
}

# conn LABEL FILE...: conn logs of Zeek beside DuckDB, and on disk beside gzip. Leaves the seconds
# in took and the records in rows.
conn() {
	local label=$1 sql mem cpu b bmem bcpu folder gz ours duck="" share
	shift
	rows=$(cat "$@" | grep -vc '^#')
	sql=$(duck_conn "$@")
	for _ in $(seq "$runs"); do
		take "$work/conn" "$@"
		! have duckdb || duck "$sql"
	done
	complete "$work/conn" "$rows"
	read -r took mem cpu < <(median ours)
	ours="$took s, CPU $cpu s, $(calc %.0f "$rows / $took") records/s"
	if have duckdb; then
		read -r b bmem bcpu < <(median duck)
		share=$(ratio "$took" "$b")
		row "ingest of $rows $label" "$ours" "DuckDB read_csv to zstd Parquet: $b s, CPU $bcpu s" "$share of its time, $(ratio "$cpu" "$bcpu") of its CPU" "$(most "$share" 1 '≤ 1 of its time')"
		row "memory of that ingest" "$mem MiB" "DuckDB: $bmem MiB" "$(ratio "$mem" "$bmem")" "$(most "$mem" 1024 '≤ 1024 MiB')"
		duck="; DuckDB's Parquet: $(megas "$(size "$work/duck.parquet")")"
		rm "$work/duck.parquet"
	else
		row "ingest of $rows $label" "$ours, $mem MiB" "no DuckDB here" "" "≤ 1 of DuckDB's time; $(most "$mem" 1024 '≤ 1024 MiB')"
	fi
	gz=$(cat "$@" | gzip -6 | wc -c)
	folder=$(size "$work/conn")
	share=$(ratio "$folder" "$gz")
	row "disk of that, everything included" "$(megas "$folder"), $(ratio "$folder" "$rows") B a record" "gzip -6: $(megas "$gz")$duck" "$share of gzip" "$(most "$share" 0.75 '≤ 0.75')"
}

# bleve FILE: a document a record, of the first records of the conn log that was taken last.
bleve() {
	local ours theirs count seconds bytes documents=20000
	have bleve || { row "the same beside full-text documents" "" "no bleve here" "" "≥ 200 times"; return 0; }
	"$bin/bleve-$bleve_version" "$1" "$documents" "$work/documents" >"$work/bleve.out"
	read -r count seconds bytes <"$work/bleve.out"
	rm -rf "$work/documents"
	ours=$(calc %.0f "$rows / $took")
	theirs=$(calc %.0f "$count / $seconds")
	row "the same beside full-text documents" "$ours records/s" "bleve, a document a record: $theirs/s (the first $count, once), $(calc %.0f "$bytes / $count") B each" "$(calc '%.0f times' "$ours / $theirs")" "$(least "$(ratio "$ours" "$theirs")" 200 '≥ 200 times')"
}

# family LABEL FILE: one family's text by itself. Leaves the seconds in took, the records in lines.
family() {
	local bytes mem cpu rate
	bytes=$(wc -c <"$2")
	lines=$(grep -vc '^#' "$2")
	for _ in $(seq "$runs"); do take "$work/conn" "$2"; done
	complete "$work/conn" "$lines"
	read -r took mem cpu < <(median ours)
	rate=$(calc %.0f "$bytes / $took / 1e6")
	row "$1, $(megas "$bytes"), $lines records" "$took s, CPU $cpu s, $mem MiB, $rate MB/s" "" "" "$(least "$rate" 150 '≥ 150 MB/s'); $(most "$mem" 1024 '≤ 1024 MiB')"
}
# beside NAME TEXT: a row for what a peer was timed as NAME doing with the same file.
beside() {
	local b bmem bcpu
	read -r b bmem bcpu < <(median "$1")
	row "the same" "$took s" "$2: $b s, CPU $bcpu s, $bmem MiB" "$(ratio "$took" "$b") of its time" ""
}
beside_duck() { # beside_duck TEXT SOURCE
	have duckdb || return 0
	for _ in $(seq "$runs"); do duck "$(to_parquet "$2")"; done
	beside duck "DuckDB $1 to zstd Parquet"
}
beside_fts() { # beside_fts FILE: lines as rows of a full-text table, once
	have sqlite3 || return 0
	once fts sqlite3 "$work/fts.db" "create virtual table t using fts5(line)" ".mode ascii" ".separator \"\001\" \"\n\"" ".import $1 t"
	beside fts "sqlite3 FTS5, lines as full-text rows ($(megas "$(size "$work/fts.db")"))"
	rm "$work/fts.db"
}
beside_text() { # beside_text FILE FIELDS SEPARATOR: peers that take lines, once
	beside_fts "$1"
	if have mlr; then
		once mlr mlr "$2" --ifs "$3" --ojson nothing "$1"
		beside mlr "Miller, fields parsed and dropped"
	fi
	if have lnav; then
		once lnav lnav -n -c ';select count(*) from syslog_log' "$1"
		if [ "$(sed -n '$s/ //gp' "$work/lnav.out")" = "$lines" ]; then beside lnav "lnav, lines indexed and counted"; else rm "$work/lnav.times"; fi
	fi
}

# sample NAME SENSORS EVENTS DAYS PATTERN: one file of the logs whose path matches, simulated with
# these sensors alone.
sample() {
	local out=$data/ingest/$1
	[ -f "$out" ] && return
	rm -rf "$work/sample"
	"$firetrail" simulate --quiet --seed 3 --out "$work/sample" --sensors "$2" --events "$3" --days "$4" >/dev/null
	find "$work/sample/logs" -type f -path "*$5" | sort -Vr | while read -r f; do
		case $f in *.gz) gzip -dc "$f" ;; *) cat "$f" ;; esac
	done >"$out.part"
	rm -rf "$work/sample"
	mv "$out.part" "$out"
}
families() {
	local dir=$data/ingest took rows lines
	sample conn.log zeek 4000000 3 '/zeek-core/conn.*'
	sample conn.json zeek 4000000 3 '/zeek-outer/conn.*'
	sample kern.log iptables 1000000 3 '/kern/kern.log*'
	sample filter.log pf 3000000 3 '/pfsense/filter.log*'
	sample panos.log paloalto 1000000 3 '/paloalto/pa-edge1.log*'
	conn "Zeek conn records, simulated" "$dir/conn.log"
	bleve "$dir/conn.log"
	beside_fts "$dir/conn.log"
	real
	family "iptables kernel log" "$dir/kern.log"
	beside_text "$dir/kern.log" --idkvp ' '
	family "pf filterlog" "$dir/filter.log"
	beside_text "$dir/filter.log" --inidx ,
	family "PAN-OS CSV" "$dir/panos.log"
	beside_duck "read_csv, all texts" "read_csv('$dir/panos.log', delim=',', quote='\"', header=false, all_varchar=true, null_padding=true)"
	family "Zeek JSON (conn)" "$dir/conn.json"
	beside_duck read_json "read_json('$dir/conn.json', format='newline_delimited')"
	printf '\nLogs of the families by themselves come from "firetrail simulate --seed 3 --sensors FAMILY"; nothing in them is repeated.\n' >>"$result"
}
# real: conn records of a real network, repeated with other times, addresses and uids.
real() {
	local dir=${FIRETRAIL_CORPORA-}
	if [ -z "$dir" ] || ! command -v python3 >/dev/null; then
		row "ingest of real Zeek conn records" "left out: FIRETRAIL_CORPORA names no real logs, or there is no python3" "" "" "≤ 1 of DuckDB's time; ≤ 0.75 of gzip"
		return
	fi
	if ! [ -f "$data/ingest/real.log" ]; then
		python3 "$dir/amplify.py" 2800 "$work/real.gz" "$dir/zeek/zat/conn.log" >/dev/null
		gzip -dc "$work/real.gz" >"$work/real.log"
		mv "$work/real.log" "$data/ingest/real.log"
	fi
	conn "Zeek conn records, real ones repeated 2,800 times" "$data/ingest/real.log"
}

# superseded: bytes that the next ingest removes, here one of nothing: who reads all the Parquet of a
# case beside Firetrail would count the events of merged segments twice.
superseded() {
	local before
	before=$(size "$work/lab")
	mkdir -p "$work/nothing"
	"$firetrail" ingest --quiet --case "$work/lab" "$work/nothing" >/dev/null
	echo $((before > $(size "$work/lab") ? before - $(size "$work/lab") : 0))
}
# ingest FOLDER: of a lab, its conn logs beside DuckDB, then everything.
ingest() {
	local took rows a mem cpu bytes count disk left
	conn "Zeek conn records" "$1"/lab/logs/zeek-core/conn.*
	rm -rf "$work/conn"
	for _ in $(seq "$long"); do take "$work/lab" "$1/lab/logs"; done
	read -r a mem cpu < <(median ours)
	bytes=$(textsize "$1/lab/logs")
	count=$(events "$work/lab")
	disk=$(size "$work/lab")
	row "ingest of the whole lab: $count events of all families, compressed files" "$a s, CPU $cpu s, $mem MiB, $(calc '%.0f MB/s' "$bytes / $a / 1e6") of decompressed text" "" "" "$(most "$mem" 1024 '≤ 1024 MiB')"
	left=$(superseded)
	row "disk of the whole lab" "$(megas "$disk"), $(ratio "$disk" "$count") B an event" "decompressed: $(megas "$bytes"); the files as they are: $(megas "$(size "$1/lab/logs/")")" "$(ratio "$disk" "$bytes") of the text" ""
	[ "$left" -eq 0 ] || row "of which files of segments that were merged, until the next ingest" "$(megas "$left")" "" "" ""
	keep events "$count"
	keep 'ingest, s' "$a"
	keep 'ingest, CPU s' "$cpu"
	keep 'ingest, MiB' "$mem"
	keep 'disk, MB' "$(calc %.1f "$disk / 1e6")"
}
