package runs

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"firetrail"

	"go.yaml.in/yaml/v3"
)

// ReadAllow reads an allow list: YAML "allow: [{entry, reason, expires, side,
// port, run}]" (or the bare list), or CSV with the same names in its header.
// entry is an address, a network, or a host name that covers its subdomains.
// Errors name file, line and column; a list with an error is not used in part.
func ReadAllow(path string, data []byte) ([]firetrail.Allow, error) {
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return nil, nil
	}
	first, _, _ := bytes.Cut(trimmed, []byte("\n"))
	if first[0] != '#' && bytes.Contains(first, []byte("entry")) && !bytes.Contains(first, []byte(":")) {
		return allowCSV(path, data)
	}
	return allowYAML(path, data)
}

// allowCSV reads entries below a header of column names, in any order. The first bad
// entry is an error: a list that is half read would excuse less than its author wrote.
func allowCSV(path string, data []byte) ([]firetrail.Allow, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var out []firetrail.Allow
	for {
		values, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		line, column := r.FieldPos(0)
		get := map[string]string{}
		for i, v := range values {
			if i < len(header) {
				get[strings.ToLower(strings.TrimSpace(header[i]))] = strings.TrimSpace(v)
			}
		}
		a, err := allowEntry(get, firetrail.Citation{Source: path, Line: int64(line)})
		if err != nil {
			return nil, fmt.Errorf("%s:%d:%d: %w", path, line, column, err)
		}
		out = append(out, a)
	}
}

// allowYAML reads a list of entries, or an object that holds it.
func allowYAML(path string, data []byte) ([]firetrail.Allow, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil // nothing but comments
	}
	list := doc.Content[0]
	if list.Kind == yaml.MappingNode {
		found := false
		for i := 0; i+1 < len(list.Content); i += 2 {
			if list.Content[i].Value == "allow" {
				list, found = list.Content[i+1], true
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("%s:%d:%d: expected a key \"allow\" with a list", path, list.Line, list.Column)
		}
	}
	if list.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s:%d:%d: expected a list of entries", path, list.Line, list.Column)
	}
	var out []firetrail.Allow
	for _, item := range list.Content {
		get := map[string]string{}
		switch item.Kind {
		case yaml.ScalarNode:
			get["entry"] = item.Value
		case yaml.MappingNode:
			for i := 0; i+1 < len(item.Content); i += 2 {
				get[strings.ToLower(item.Content[i].Value)] = item.Content[i+1].Value
			}
		}
		a, err := allowEntry(get, firetrail.Citation{Source: path, Line: int64(item.Line)})
		if err != nil {
			return nil, fmt.Errorf("%s:%d:%d: %w", path, item.Line, item.Column, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// allowEntry checks one entry.
func allowEntry(get map[string]string, where firetrail.Citation) (firetrail.Allow, error) {
	a := firetrail.Allow{Entry: get["entry"], Side: strings.ToLower(get["side"]), Port: firetrail.Absent, Run: get["run"], Reason: get["reason"],
		Expires: firetrail.Absent, Where: where}
	if a.Entry == "" {
		return a, errors.New("no entry: expected an address, a network or a name")
	}
	switch a.Side {
	case "":
		a.Side = "either"
	case "src", "dst", "either":
	default:
		return a, fmt.Errorf("side %q: expected src, dst or either", a.Side)
	}
	if p := get["port"]; p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return a, fmt.Errorf("port %q: expected a number from 0 to 65535", p)
		}
		a.Port = int64(n)
	}
	if e := get["expires"]; e != "" {
		at, err := time.Parse(time.RFC3339, e)
		if day, derr := time.Parse("2006-01-02", e); err != nil && derr == nil {
			at, err = day.AddDate(0, 0, 1), nil // through the end of that day
		}
		if err != nil {
			return a, fmt.Errorf("expires %q: expected a date such as 2026-03-01", e)
		}
		a.Expires = at.UnixNano()
	}
	return a, allowSubject(&a)
}

// allowSubject reads the entry as address, network or name.
func allowSubject(a *firetrail.Allow) error {
	if p, err := netip.ParsePrefix(a.Entry); err == nil {
		a.Prefix = p.Masked()
		return nil
	}
	if ip, err := netip.ParseAddr(a.Entry); err == nil {
		a.Prefix = netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen())
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(a.Entry, "*."), "."))
	if name == "" || strings.ContainsAny(name, "*/ :") || !strings.Contains(name, ".") && name != "localhost" {
		return fmt.Errorf("entry %q is neither an address, a network nor a name", a.Entry)
	}
	a.Name = name
	return nil
}
