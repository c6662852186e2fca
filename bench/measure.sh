# Parts of bench/run: how something is run, timed, judged and written down.

# once NAME COMMAND...: appends "seconds kilobytes user system" of one run to the times of NAME;
# its output is in NAME.out. A search that finds nothing ends with 1, an ingest with quarantined
# records with 3.
once() {
	local name=$work/$1 code=0
	shift
	/usr/bin/time -q -f '%e %M %U %S' -o "$name.time" "$@" >"$name.out" 2>"$name.err" || code=$?
	case $1:$code in *:0 | */firetrail:[13]) ;; *) echo "exit $code: $*" >&2; cat "$name.err" >&2; exit 1 ;; esac
	tail -1 "$name.time" >>"$name.times"
}
# fast NAME COUNT COMMAND...: the same for work of milliseconds, without the granularity of time(1).
fast() {
	local name=$work/$1 count=$2 from to code
	shift 2
	for _ in $(seq "$count"); do
		code=0
		from=${EPOCHREALTIME/./}
		"$@" >"$name.out" 2>"$name.err" || code=$?
		to=${EPOCHREALTIME/./}
		[ "$code" -le 1 ] || { echo "exit $code: $*" >&2; cat "$name.err" >&2; exit 1; }
		awk -v us=$((to - from)) 'BEGIN {printf "%.6f 0 0 0\n", us / 1e6}' >>"$name.times"
	done
}
# median NAME: "seconds mebibytes CPU" of the runs of NAME, medians, of memory the largest; forgets them.
median() {
	local s m c
	s=$(cut -d' ' -f1 "$work/$1.times" | middle)
	m=$(awk '$2 > m {m = $2} END {printf "%.0f", m / 1024}' "$work/$1.times")
	c=$(awk '{print $3 + $4}' "$work/$1.times" | middle)
	rm -f "$work/$1.times"
	echo "$s $m $c"
}
middle() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

calc() { awk "BEGIN {printf \"$1\", $2}"; } # calc FORMAT EXPRESSION
ratio() { calc %.2f "$1 / ($2 > 0 ? $2 : 1e-9)"; }
millis() { awk -v s="$1" 'BEGIN {f = s < 0.01 ? "%.2f ms" : "%.0f ms"; printf f, s * 1000}'; }
megas() { calc '%.1f MB' "$1 / 1e6"; }
size() { du -sbc "$@" | awk 'END {print $1}'; }
# textsize FOLDER: bytes of all its files, decompressed.
textsize() {
	{
		find "$1/" -type f -name '*.gz' -exec gzip -lq {} \; | awk '{print $2}'
		find "$1/" -type f ! -name '*.gz' -printf '%s\n'
	} | awk '{n += $1} END {printf "%.0f", n}'
}

row() { printf '| %s | %s | %s | %s | %s |\n' "$@" | tee -a "$result"; }
keep() { echo "$1 $2" >>"$values"; } # keep NAME VALUE, for the table over all sizes
# most VALUE BOUND TEXT and least: the budget as TEXT, marked where it is missed.
most() { awk -v v="$1" -v b="$2" -v t="$3" 'BEGIN {print (v <= b) ? t ": met" : "**" t ": missed**"}'; }
least() { awk -v v="$1" -v b="$2" -v t="$3" 'BEGIN {print (v >= b) ? t ": met" : "**" t ": missed**"}'; }
# most10: a budget that is given for 10 million events, which says nothing of more.
most10() { if [ "$n" -le 10 ]; then most "$1" "$2" "$3"; else echo "$3 at 10 million"; fi; }

heading() {
	local revision
	revision=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)
	[ -z "$(git -C "$here/.." status --porcelain -- '*.go' go.mod 2>/dev/null)" ] || revision+=" with changes"
	cat <<MD

## $1

$(date -u +%Y-%m-%d), revision $revision, $(nproc) cores ($(sed -n 's/^model name.*: //p' /proc/cpuinfo | sed -n 1p)), $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo); median of $runs runs.
Load average when it began: $(cut -d' ' -f1-3 /proc/loadavg).

| work | firetrail | beside it | ratio | budget |
|---|---|---|---|---|
MD
}
footing() { printf '\nLoad average when it ended: %s.\n' "$(cut -d' ' -f1-3 /proc/loadavg)" >>"$result"; }
