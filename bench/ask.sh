# Parts of bench/run: asking a case that was taken in.

search() { # a name, an address and an absent address, in a fresh process and in a warm one, beside ripgrep
	local host addr what query text
	# The name that was met least often, and its address.
	read -r host addr < <("$firetrail" --case "$work/lab" stats 'has:host AND has:dst_ip AND kind:zeek.ssl' --by host,dst_ip --limit 1000000 --format tsv |
		sort -t"$(printf '\t')" -k3,3n -k1,2 | awk -F'\t' '$3 ~ /^[0-9]+$/ && $2 ~ /^[0-9.]+$/ && !done {print $1, $2; done = 1}')
	for what in "name|host:=\"$host\"|$host" "address|ip:$addr|$addr" "absent address|ip:203.0.113.254|203.0.113.254"; do
		IFS='|' read -r what query text <<<"$what"
		question "$1" "$what" "$query" "$text"
	done
	local a mem cpu
	for _ in $(seq "$runs"); do once ours "$firetrail" --case "$work/lab" search "bytes_out:>1G AND NOT dst_port:443" --limit 50 --format jsonl; done
	read -r a mem cpu < <(median ours)
	row "search: numbers that no term decides" "$a s, CPU $cpu s, $mem MiB" "" "" "$(most "$mem" 256 '≤ 256 MiB')"
	keep 'search by numbers, MiB' "$mem"
}
question() { # FOLDER LABEL QUERY TEXT
	local cold warm mem found ours budget b times bound=30
	fast ours 10 "$firetrail" --case "$work/lab" search "$3" --limit 50 --format jsonl
	found=$(wc -l <"$work/ours.out")
	case $2:$found in absent*:0 | name:[1-9]* | address:[1-9]*) ;; *) echo "search for $3: $found events" >&2; exit 1 ;; esac
	read -r cold _ < <(median ours)
	once ours "$firetrail" --case "$work/lab" search "$3" --limit 50 --format jsonl
	read -r _ mem _ < <(median ours)
	warm=$(FIRETRAIL_CASE=$work/lab FIRETRAIL_QUERY=$3 "$work/index.test" -test.run '^$' -test.bench '^BenchmarkQuery$' -test.count "$runs" |
		awk '/^BenchmarkQuery/ {print $3 / 1e9}' | middle)
	[ "$2" != "absent address" ] || bound=10
	ours="warm $(millis "$warm"), with process start $(millis "$cold"), $mem MiB"
	budget="$(most10 "$warm" "0.0$bound" "warm ≤ $bound ms"); $(most10 "$cold" 0.150 'with process start ≤ 150 ms'); $(most "$mem" 256 '≤ 256 MiB')"
	keep "search: $2, warm, ms" "$(calc %.2f "$warm * 1000")"
	keep "search: $2, with process start, ms" "$(calc %.1f "$cold * 1000")"
	have rg || { row "search: $2 ($4)" "$ours" "no ripgrep here" "" "$budget"; return 0; }
	if [ "$n" -le 10 ]; then
		fast rg 10 rg --no-ignore -F --no-filename -e "$4" "$1/plain"
		b="ripgrep over the unpacked files"
	else
		fast rg 1 rg --no-ignore -z -F --no-filename -e "$4" "$1/lab/logs"
		b="ripgrep -z over the compressed files, once"
	fi
	read -r times _ < <(median rg)
	[ $((found > 0)) -eq $(($(wc -l <"$work/rg.out") > 0)) ] || { echo "search for $3: $found events, ripgrep finds $(wc -l <"$work/rg.out") lines" >&2; exit 1; }
	if [ "$n" -ge 10 ]; then
		budget+="; $(least "$(ratio "$times" "$cold")" 20 '≥ 20 times faster than ripgrep')"
	else
		budget+="; ≥ 20 times faster than ripgrep at 10 million"
	fi
	row "search: $2 ($4)" "$ours" "$b: $(millis "$times")" "$(calc '%.1f times faster warm, %.1f with process start' "$times / $warm, $times / $cold")" "$budget"
}

# stats: each statement of stats.txt beside DuckDB on the same Parquet, the answers compared.
stats() {
	local label query by agg limit sql a mem cpu b bmem bcpu inner order largest=0
	while IFS='|' read -r label query by agg limit sql; do
		read -r label <<<"$label"; read -r query <<<"$query"; read -r by <<<"$by"; read -r agg <<<"$agg"; read -r limit <<<"$limit"
		order=()
		[ "$limit" -eq 0 ] || order=(--sort -count --limit "$limit")
		for _ in $(seq "$runs"); do
			fast ours 1 "$firetrail" --case "$work/lab" stats "$query" --by "$by" --agg "$agg" "${order[@]}" --format tsv
			once memory "$firetrail" --case "$work/lab" stats "$query" --by "$by" --agg "$agg" "${order[@]}" --format tsv
			! have duckdb || duck "${sql//EVENTS/read_parquet(\'$work/lab/segments/*.parquet\', union_by_name=true)}"
		done
		read -r a _ < <(median ours)
		read -r _ mem cpu < <(median memory)
		if have duckdb; then
			node "$here/same.mjs" "$work/ours.out" "$work/duck.out" $(($(tr -cd , <<<"$by" | wc -c) + 1)) "$limit" || { echo "stats: $label" >&2; exit 1; }
			read -r b bmem bcpu < <(median duck)
			read -r inner _ < <(median statement)
			row "stats: $label" "$(millis "$a"), CPU $cpu s, $mem MiB" "DuckDB on the same Parquet, the same answer: $(millis "$b"), without its start $(millis "$inner"), CPU $bcpu s, $bmem MiB" "$(ratio "$a" "$b") of its time; $(ratio "$a" "$inner") without its start" "$(most "$(ratio "$a" "$inner")" 2 '≤ 2')"
		else
			row "stats: $label" "$(millis "$a"), CPU $cpu s, $mem MiB" "no DuckDB here" "" "≤ 2"
		fi
		keep "stats: $label, ms" "$(calc %.1f "$a * 1000")"
		largest=$((mem > largest ? mem : largest))
	done < <(grep -v '^#' "$here/stats.txt")
	keep 'stats, the most of these, MiB' "$largest"
	if [ "$n" -eq 1 ] && have mlr; then
		cat "$data/$n"/lab/logs/zeek-core/conn.* | grep -v '^#' >"$work/conn.tsv"
		once mlr mlr --inidx --ifs tab --otsv stats1 -a count,sum -f 10 -g 6 "$work/conn.tsv"
		rm -f "$work/conn.tsv"
		for _ in $(seq "$runs"); do fast ours 1 "$firetrail" --case "$work/lab" stats 'kind:zeek.conn' --by dst_port --agg 'count,sum(bytes_out)' --format tsv; done
		read -r a _ < <(median ours)
		read -r b _ < <(median mlr)
		row "stats: conn records by port" "$(millis "$a")" "Miller over the text of one of the two sensors: $(millis "$b")" "$(calc '%.0f times faster' "$b / $a")" ""
	fi
}

correlate() { # runs and tool calls, then findings and incidents
	local a mem cpu bound
	once ours "$firetrail" --case "$work/lab" runs import "$1"/lab/inventory/*
	read -r a mem cpu < <(median ours)
	row "runs import" "$a s, CPU $cpu s, $mem MiB" "" "" ""
	for _ in $(seq "$long"); do
		once ours "$firetrail" --case "$work/lab" correlate --quiet --allow "$1/lab/allow.yaml"
	done
	read -r a mem cpu < <(median ours)
	bound=$((n > 10 ? 2 * n : 20))
	row "correlate: findings, attribution, incidents" "$a s, CPU $cpu s, $mem MiB" "" "" "$(most "$a" "$bound" "≤ $bound s"); $(most "$mem" 1024 '≤ 1024 MiB')"
	keep 'correlate, s' "$a"
	keep 'correlate, CPU s' "$cpu"
	keep 'correlate, MiB' "$mem"
}

terminal() { # the terminal interface, keys pressed
	local first typical worst others count mem
	FIRETRAIL_CASE=$work/lab "$work/main.test" -test.run '^$' -test.bench '^BenchmarkTUI$' -test.benchtime 1x -test.count "$runs" >"$work/tui.out"
	first=$(awk '$1 == "start" {print $3}' "$work/tui.out" | middle)
	typical=$(sed -n 's/^key to first frame.* p50 *\([0-9.]*\) ms.*/\1/p' "$work/tui.out" | middle)
	worst=$(sed -n 's/^key to first frame.* p99 *\([0-9.]*\) ms.*/\1/p' "$work/tui.out" | middle)
	count=$(sed -n 's/^key to first frame.* of \([0-9]*\)$/\1/p' "$work/tui.out" | middle)
	mem=$(awk '/^VmHWM/ {printf "%.0f\n", $2 / 1024}' "$work/tui.out" | sort -g | tail -1)
	case "$first:$typical:$worst:$mem" in :* | *::* | *:) echo "no figures of the terminal interface:" >&2; cat "$work/tui.out" >&2; exit 1 ;; esac
	row "terminal interface: first screen, case opened" "$first ms" "" "" "$(most10 "$first" 300 '≤ 300 ms')"
	row "terminal interface: key to frame, $count keys" "median $typical ms, 99 % within $worst ms" "" "" "$(most10 "$typical" 16 'median ≤ 16 ms'); $(most10 "$worst" 50 '99 % ≤ 50 ms')"
	row "terminal interface: memory" "$mem MiB" "" "" "$(most "$mem" 512 '≤ 512 MiB')"
	keep 'terminal interface: first screen, ms' "$first"
	keep 'terminal interface: 99 % of keys, ms' "$worst"
	keep 'terminal interface, MiB' "$mem"
}
