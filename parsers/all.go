package parsers

// All are the formats, most specific first: of formats that read equally much
// of a source the first is taken, and a line that one format declines is offered to the
// others in this order. Read-only.
var All = []Format{
	PFLog,
	PaloAlto,
	PF,
	PFText,
	Zeek,
	ZeekJSON,
	iptables,
}
