# Parts of bench/run: the peers, what of them is here, and how they are asked.

bleve_version=v2.6.3
have() { # have PEER
	case $1 in
	duckdb) [ -d "$bin/node_modules/@duckdb/node-api" ] && command -v node >/dev/null ;;
	bleve) [ -x "$bin/bleve-$bleve_version" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}
peers() {
	if ! have duckdb && have npm; then
		(cd "$bin" && npm init -y && npm install --no-audit --no-fund --silent @duckdb/node-api) >/dev/null 2>&1 || true
	fi
	if ! have bleve; then
		mkdir "$work/bleve" && cp "$here/bleve.go" "$work/bleve"
		(cd "$work/bleve" && go mod init bleve && go get "github.com/blevesearch/bleve/v2@$bleve_version" &&
			go build -o "$bin/bleve-$bleve_version" bleve.go) >/dev/null 2>&1 || true
	fi
	cp "$here/duck.mjs" "$bin/duck.mjs"
	local peer
	for peer in duckdb bleve rg mlr lnav sqlite3; do
		have $peer || echo "bench/run: $peer is not here: left out" >&2
	done
}
# versions: of all that is compared.
versions() {
	printf '%s; ' "$("$firetrail" version | sed -n 1p)"
	if have duckdb; then printf 'DuckDB %s in node %s' "$(node "$bin/duck.mjs" "select version()")" "$(node --version)"; else printf 'no DuckDB'; fi
	if have bleve; then printf '; bleve %s' "$bleve_version"; else printf '; no bleve'; fi
	if have rg; then printf '; %s' "$(rg --version | sed -n 1p)"; else printf '; no ripgrep'; fi
	if have mlr; then printf '; Miller %s' "$(mlr --version | sed 's/^mlr //')"; else printf '; no Miller'; fi
	if have lnav; then printf '; %s' "$(lnav --version)"; else printf '; no lnav'; fi
	if have sqlite3; then printf '; sqlite3 %s' "$(sqlite3 --version | cut -d' ' -f1)"; else printf '; no sqlite3'; fi
	printf '; %s.\n' "$(gzip --version | sed -n 1p)"
}

# duck SQL: one statement in a fresh process, timed as duck, and by itself as statement.
duck() { once duck node "$bin/duck.mjs" "$1" "$work/statement.times"; }
# listed FILE...: a list of files in SQL.
listed() { printf "['%s'" "$1"; shift; [ $# -eq 0 ] || printf ",'%s'" "$@"; printf ']'; }
# duck_conn FILE...: the statement that turns conn logs into Parquet, with the columns of their header.
duck_conn() {
	local names types
	names=$(grep -m1 '^#fields' "$1" | cut -f2-)
	types=$(grep -m1 '^#types' "$1" | cut -f2-)
	paste <(tr '\t' '\n' <<<"$names") <(tr '\t' '\n' <<<"$types") | awk -F'\t' -v q="'" '
		{t = $2 ~ /^(time|interval|double)$/ ? "DOUBLE" : $2 ~ /^(count|port|int)$/ ? "BIGINT" : "VARCHAR"
		 c = c (NR > 1 ? "," : "") q $1 q ":" q t q}
		END {print c}' >"$work/columns"
	to_parquet "read_csv($(listed "$@"), delim='\t', quote='', escape='', comment='#', header=false, nullstr='-', auto_detect=false, columns={$(cat "$work/columns")})"
}
to_parquet() { echo "copy (select * from $1) to '$work/duck.parquet' (format parquet, compression zstd)"; }
