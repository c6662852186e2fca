# Parts of bench/run: RESULTS.md, from what each part has left in its folder.

results() {
	local sizes
	mapfile -t sizes < <(find "$data" -mindepth 2 -maxdepth 2 -name values -printf '%h\n' | sed 's|.*/||' | grep '^[0-9]*$' | sort -n)
	{
		cat <<MD
# What was measured

Written by \`bench/run\`, which says how. Figures of a machine that does other work at the
same time (see the load average: more than the number of cores means that every figure
is too slow) are worth as much as their ratios, and those only roughly; seconds of CPU tell
more then. Every byte that is taken in is hashed with SHA-256, which no peer does:
$(hashing).

Versions: $(versions)

$(missed)
MD
		for part in ingest "${sizes[@]}"; do [ ! -f "$data/$part/result.md" ] || cat "$data/$part/result.md"; done
		scaling "${sizes[@]}"
	} >"$work/RESULTS.md"
	cp "$work/RESULTS.md" "$here/RESULTS.md"
	echo "bench/RESULTS.md written" >&2
}

# hashing says what the processor does for that.
hashing() {
	if grep -qw sha_ni /proc/cpuinfo; then echo "this processor has instructions for it"
	else echo "this processor has no instructions for it, so that it is a fifth of the work"; fi
}

# missed: the rows in which a budget is missed, of all parts.
missed() {
	local part list
	list=$(for part in $(find "$data" -mindepth 2 -maxdepth 2 -name result.md -printf '%h\n' | sort -V); do
		awk -F' [|] ' '/^## / {title = substr($0, 4)} /missed[*][*]/ {sub(/^[|] /, "", $1); sub(/ [|]$/, "", $5); print "- " title ", " $1 ": " $5}' "$part/result.md"
	done)
	if [ -n "$list" ]; then printf 'Budgets that were missed:\n\n%s\n' "$list"; else echo "No budget that was measured was missed."; fi
}

# scaling SIZE...: what was kept of each size, and the exponent between the first and the
# last: 1 is linear in the events, 0 does not grow.
scaling() {
	[ $# -ge 2 ] || { printf '\n## Scaling\n\nLeft out: it takes two sizes.\n'; return 0; }
	printf '\n## Scaling\n\nBy millions of events. The exponent is that of the events between the smallest and the largest\nsize: 1 is linear, 0 does not grow; the last column is the largest, per million events.\n\n'
	awk -v data="$data" -v sizes="$*" 'BEGIN {
		n = split(sizes, size, " ")
		for (i = 1; i <= n; i++) {
			file = data "/" size[i] "/values"
			while ((getline line < file) > 0) {
				value = line; sub(/.* /, "", value)
				name = line; sub(/ [^ ]*$/, "", name)
				if (!(name in known)) { known[name]; names[++m] = name }
				v[name, i] = value
			}
		}
		printf "| |"; for (i = 1; i <= n; i++) printf " %s |", size[i]; print " exponent | per million |"
		printf "|---|"; for (i = 1; i <= n; i++) printf "---|"; print "---|---|"
		for (k = 1; k <= m; k++) {
			name = names[k]; printf "| %s |", name
			for (i = 1; i <= n; i++) printf " %s |", v[name, i]
			a = v[name, 1]; b = v[name, n]; e = v["events", n] / v["events", 1]
			if (name == "events" || a <= 0 || b <= 0 || e <= 1) print " | |"
			else printf " %.2f | %.4g |\n", log(b / a) / log(e), b / (v["events", n] / 1e6)
		}
	}'
}
