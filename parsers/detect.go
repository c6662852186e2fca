package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"firetrail"
)

// ErrEmpty says that a source holds nothing, or nothing but blank lines.
var ErrEmpty = errors.New("the source is empty")

const (
	byteOrderMark = "\xef\xbb\xbf" // of UTF-8

	// syslogSize is how far a sound syslog is searched for the first line of
	// a format before it is refused. In a longer one such a line may still follow,
	// so it is read as a kernel log.
	syslogSize = 8 << 20
)

// Verdict is what one format says of the beginning of a source.
type Verdict struct {
	Format   string
	Accepted bool
	Chosen   bool             // the format that the source would be read with
	Counts   firetrail.Counts // of the beginning, read with this format alone
	Reason   string           // why it was declined, or the first reject
}

// Why judges the beginning of a source by every format, in the order of All.
func Why(r io.Reader) ([]Verdict, error) {
	head := make([]byte, SniffSize)
	n, err := io.ReadFull(r, head)
	if err != nil && n == 0 && err != io.EOF {
		return nil, fmt.Errorf("read source: %w", err)
	}
	head = head[:n]
	chosen, _ := choose(head)
	var out []Verdict
	for _, f := range All {
		v := Verdict{Format: f.Name, Chosen: f.Name == chosen.Name}
		if err := f.Sniff(head); err != nil {
			v.Reason = err.Error()
		} else {
			v.Accepted = true
			v.Counts, v.Reason = trial(f, head)
		}
		out = append(out, v)
	}
	return out, nil
}

// UnknownFormatError says that no format reads a source, and each one's reason.
type UnknownFormatError struct {
	Looks string  // what the source seems to be: "Cisco ASA", "" unknown
	Sound bool    // a sound log of programs that are no firewall: nothing is missed by leaving it out
	Hint  string  // what to do about it, "" unknown
	Why   []error // one for each format, in the order of All
}

// Error says what the source looks like and what to do, in one line; the reasons of
// the formats are in Why.
func (e *UnknownFormatError) Error() string {
	switch {
	case e.Hint != "":
		return "looks like " + e.Looks + "; " + e.Hint
	case e.Sound:
		return "looks like " + e.Looks
	case e.Looks != "":
		return "looks like " + e.Looks + ", which is not supported"
	}
	return "format not recognised; see 'firetrail formats --why FILE'"
}

// Unwrap gives the reasons of all formats.
func (e *UnknownFormatError) Unwrap() []error { return e.Why }

// detect decides the format of the reader's source.
func (r *Reader) detect() (Format, error) {
	if name := r.ctx.Options.Format; name != "" {
		f, ok := Named(name)
		if !ok {
			return Format{}, fmt.Errorf("unknown log format %q; see 'firetrail formats'", name)
		}
		return f, nil
	}
	f, err := choose(r.head(0, SniffSize))
	if err == nil || !errors.Is(err, errSyslog) {
		return f, err
	}
	// A kernel log can hold other programs' lines for megabytes.
	for from := SniffSize; from < syslogSize; from += SniffSize {
		r.need(from + SniffSize)
		part := r.head(from, SniffSize)
		if len(part) == 0 {
			return Format{}, err
		}
		if i := bytes.IndexByte(part, '\n'); i >= 0 {
			part = part[i+1:]
		}
		if f, e := choose(part); e == nil && !f.Binary {
			return f, nil
		}
	}
	if f, ok := Named("iptables"); ok {
		return f, nil
	}
	return f, err
}

// head is up to n buffered bytes from an offset on.
func (r *Reader) head(from, n int) []byte {
	return r.buf[min(from, len(r.buf)):min(from+n, len(r.buf))]
}

// choose takes, among the formats that accept head, the one that reads most
// events from it; of equals the first in All.
func choose(head []byte) (Format, error) {
	head = bytes.TrimPrefix(head, []byte(byteOrderMark))
	if len(bytes.Trim(head, " \t\r\n\x00")) == 0 {
		return Format{}, ErrEmpty
	}
	var accepted []Format
	refused := &UnknownFormatError{}
	if onlyReturns(head) {
		refused.Looks, refused.Hint = "text with carriage returns for line ends", "convert it to line feeds first"
		return Format{}, refused
	}
	for _, f := range All {
		if err := f.Sniff(head); err != nil {
			refused.Why = append(refused.Why, fmt.Errorf("%s: %w", f.Name, err))
		} else if accepted = append(accepted, f); f.Binary {
			return f, nil
		}
	}
	if len(accepted) == 0 {
		refused.Looks, refused.Hint, _ = strings.Cut(looks(head), "; ")
		if refused.Looks == "" && isSyslog(head) {
			refused.Looks, refused.Sound = "a syslog without firewall records", true
			refused.Why = append(refused.Why, errSyslog)
		}
		return Format{}, refused
	}
	best, most := accepted[0], int64(-1)
	if len(accepted) > 1 {
		for _, f := range accepted {
			if n, _ := trial(f, head); n.Events > most {
				best, most = f, n.Events
			}
		}
	}
	return best, nil
}

// errSyslog marks a head that is sound syslog without a line of any format.
var errSyslog = errors.New("sound syslog, but no line of a known format")

// trial reads the whole records of head with one format and counts them. reason
// is the first reject.
func trial(f Format, head []byte) (n firetrail.Counts, reason string) {
	ctx := newContext(Options{})
	p := f.New(ctx)
	framer, _ := p.(Framer)
	ev := firetrail.NewEvent()
	for len(head) > 0 {
		end := bytes.IndexByte(head, '\n') + 1
		if framer != nil {
			end = framer.Frame(head, false)
		}
		if end <= 0 || end > len(head) {
			if n.Records > 0 {
				break
			}
			end = len(head) // a single record, maybe cut
		}
		rec := head[:end]
		head = head[end:]
		if !f.Binary {
			rec = bytes.TrimRight(rec, "\r\n\x00")
			if len(bytes.Trim(rec, " \t\x00")) == 0 {
				continue
			}
		}
		ev.Reset()
		n.Records++
		switch err := p.Parse(rec, &ev); err {
		case nil:
			n.Events++
		case ErrHeader:
			n.Headers++
		case ErrSkip, ErrOther:
			n.Other++
		default:
			n.Rejected++
			if reason == "" {
				reason = err.Error()
			}
		}
	}
	return n, reason
}

// isSyslog reports whether most lines of head have a syslog header.
func isSyslog(head []byte) bool {
	c := newContext(Options{})
	with, all := 0, 0
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		all++
		if env, _, ok := c.envelope(line); ok && env.stamp.kind != stampNone {
			with++
		}
	}
	return with > 0 && with*2 >= all
}

// neighbour is a log that resembles ours and is none.
type neighbour struct {
	name string
	line func(line []byte) bool // one line shows it
}

func has(words ...string) func([]byte) bool {
	return func(line []byte) bool {
		for _, w := range words {
			if !bytes.Contains(line, []byte(w)) {
				return false
			}
		}
		return true
	}
}

var neighbours = []neighbour{
	{"Fortinet FortiGate", has("devname=", "logid=")},
	{"Fortinet FortiGate", has("devid=", "logid=")},
	{"Cisco ASA, PIX or Firepower", func(line []byte) bool {
		return has("%ASA-")(line) || has("%PIX-")(line) || has("%FTD-")(line) || has("%FWSM-")(line)
	}},
	{"Cisco ASA, PIX or Firepower", func(line []byte) bool {
		return (bytes.HasPrefix(line, []byte("ASA-")) || bytes.HasPrefix(line, []byte("PIX-"))) && bytes.IndexByte(line, ':') > 0
	}},
	{"Cisco IOS", has("%SEC-6-IPACCESSLOG")},
	{"Juniper SRX", has("RT_FLOW")},
	{"MikroTik", has("in:", "out:", "proto ", "->", ", len ")},
	{"Check Point", has("product=", "ifdir=")},
	{"SonicWall", has("id=firewall", "sn=")},
	{"Sophos", has("device_name=", "log_subtype=")},
	{"WatchGuard", has("msg_id=", "firewall: ")},
	{"Windows Firewall", func(line []byte) bool {
		return bytes.HasPrefix(line, []byte("#Software: Microsoft Windows Firewall"))
	}},
	{"the output of iptables -L", func(line []byte) bool {
		f := bytes.Fields(line)
		return len(f) >= 5 && string(f[0]) == "target" && string(f[1]) == "prot" && string(f[2]) == "opt"
	}},
	{"the output of iptables-save", func(line []byte) bool {
		return bytes.HasPrefix(line, []byte("-A ")) && has(" -j ")(line)
	}},
	{"a rule set of nftables", func(line []byte) bool {
		return has("type filter hook")(line)
	}},
	{"a test baseline of Zeek", func(line []byte) bool {
		return bytes.HasPrefix(line, []byte("### BTest baseline")) || has("XXXXXXXXXX.XXXXXX")(line)
	}},
	{"a connection summary of Zeek", func(line []byte) bool {
		return bytes.HasPrefix(line, []byte(">== Total")) || bytes.HasPrefix(line, []byte(">== Incoming")) || bytes.HasPrefix(line, []byte(">== Outgoing"))
	}},
	{"Suricata EVE", has(`"event_type":`, `"src_ip":`)},
	{"CEF events of UniFi", has("|Ubiquiti|UniFi")},
	{"CEF events of another product", has("CEF:0|")},
	{"LEEF events of another product", has("LEEF:")},
	{"AWS VPC flow logs", func(line []byte) bool { return bytes.HasPrefix(line, []byte("version account-id interface-id")) }},
	{"a web server's access log", func(line []byte) bool { return has(` HTTP/1.`, `"] `)(line) || has(`" 200 `, ` HTTP/`)(line) }},
}

// looks names what head resembles, behind a semicolon what to do, "" if nothing: the neighbour with most lines,
// of equals the first, or a kind of file that is no text.
func looks(head []byte) string {
	if kind := binaryKind(head); kind != "" {
		return kind
	}
	count := make([]int, len(neighbours))
	for line := range bytes.Lines(head) {
		for i := range neighbours {
			if neighbours[i].line(line) {
				count[i]++
				break
			}
		}
	}
	best, name := 0, ""
	for i, n := range count {
		if n > best {
			best, name = n, neighbours[i].name
		}
	}
	return name
}

// onlyReturns reports whether head is text in lines that no line feed ends: each
// format would take all of it as one record, and lose the others in it.
func onlyReturns(head []byte) bool {
	return bytes.IndexByte(head, '\n') < 0 && bytes.Count(head, []byte{'\r'}) > 1 && bytes.IndexByte(head, 0) < 0
}

// binaryKind names a head that is no text, "" if it is text.
func binaryKind(head []byte) string {
	for _, k := range []struct{ magic, name string }{
		{"\xff\xfe", "UTF-16 text; convert it to UTF-8 first"},
		{"\xfe\xff", "UTF-16 text; convert it to UTF-8 first"},
		{"LPKSHHRH", "a binary journal of systemd; export it with journalctl -o json"},
		{"\xd4\xc3\xb2\xa1", "a packet capture"}, {"\xa1\xb2\xc3\xd4", "a packet capture"},
		{"\x4d\x3c\xb2\xa1", "a packet capture"}, {"\xa1\xb2\x3c\x4d", "a packet capture"},
		{"\x0a\x0d\x0d\x0a", "a packet capture"},
		{"PAR1", "a Parquet file"}, {"ElfFile\x00", "a Windows event log"},
		{"SQLite format 3\x00", "an SQLite database"}, {"%PDF-", "a PDF document"}, {"\x7fELF", "a program"},
	} {
		if strings.HasPrefix(string(head[:min(len(head), 32)]), k.magic) {
			return k.name
		}
	}
	odd := 0
	sample := head[:min(len(head), 4096)]
	for _, c := range sample {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != 0x1b {
			odd++
		}
	}
	if odd*20 > len(sample) {
		return "binary data"
	}
	return ""
}

// readable reports whether p reads a line, or refuses it as damaged.
func readable(p Parser) func(line []byte) bool {
	ev := firetrail.NewEvent()
	return func(line []byte) bool {
		ev.Reset()
		err := p.Parse(line, &ev)
		_, damaged := errors.AsType[*RejectError](err)
		return err == nil || damaged
	}
}

// sniffLines accepts a head with a line that is. Of a long head the last line
// may be cut and is left out.
func sniffLines(head []byte, why string, is func(line []byte) bool) error {
	whole := head
	if len(head) == SniffSize {
		if i := bytes.LastIndexByte(head, '\n'); i > 0 {
			whole = head[:i]
		}
	}
	for line := range bytes.Lines(whole) {
		if is(bytes.TrimRight(line, "\r\n")) {
			return nil
		}
	}
	return errors.New(why)
}
