package parsers

import (
	"encoding/json"
)

// learntTSV is a header as far as it has been read. The plan of the columns follows
// from it.
type learntTSV struct {
	Prefix   string   `json:"prefix"`
	Sep      string   `json:"sep"`
	SetSep   string   `json:"set_sep"`
	Empty    string   `json:"empty"`
	Unset    string   `json:"unset"`
	Path     string   `json:"path,omitempty"`
	Fields   []string `json:"fields,omitempty"`
	Types    []string `json:"types,omitempty"`
	Plain    bool     `json:"plain,omitempty"`
	Pasted   bool     `json:"pasted,omitempty"`
	Headless bool     `json:"headless,omitempty"`
	Begun    bool     `json:"begun,omitempty"`
	Rows     bool     `json:"rows,omitempty"`
}

func (p *zeekTSV) learnt() (any, error) {
	if !p.begun && !p.rows && p.fields == nil && p.path == "" && len(p.prefix) == 1 && p.prefix[0] == '#' && string(p.sep) == "\t" &&
		string(p.setSep) == "," && string(p.empty) == "(empty)" && string(p.unset) == "-" {
		return nil, nil
	}
	l := learntTSV{Prefix: string(p.prefix), Sep: string(p.sep), SetSep: string(p.setSep), Empty: string(p.empty), Unset: string(p.unset),
		Path: p.path, Fields: p.fields, Types: p.types, Plain: p.plain, Pasted: p.pasted, Headless: p.headless,
		Begun: p.begun, Rows: p.rows}
	err := written(l.Prefix, l.Sep, l.SetSep, l.Empty, l.Unset, l.Path)
	if err == nil {
		err = written(l.Fields...)
	}
	if err == nil {
		err = written(l.Types...)
	}
	return l, err
}

func (p *zeekTSV) relearn(data []byte) error {
	var l learntTSV
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	p.restart([]byte(l.Prefix), []byte(l.Sep))
	p.setSep, p.empty, p.unset = []byte(l.SetSep), []byte(l.Empty), []byte(l.Unset)
	p.path, p.fields, p.types = l.Path, l.Fields, l.Types
	p.plain, p.pasted, p.headless, p.begun, p.rows = l.Plain, l.Pasted, l.Headless, l.Begun, l.Rows
	return nil
}

// learntObjects is what one object says of those that follow.
type learntObjects struct {
	Mixed bool   `json:"mixed,omitempty"`
	Log   bool   `json:"log,omitempty"` // there was one, of this path and guess
	Path  string `json:"path,omitempty"`
	Guess string `json:"guess,omitempty"`
}

func (p *zeekObjects) learnt() (any, error) {
	l := learntObjects{Mixed: p.mixed, Log: p.log != nil, Path: p.key.path, Guess: p.key.guess}
	if l == (learntObjects{}) {
		return nil, nil
	}
	return l, written(l.Path, l.Guess)
}

func (p *zeekObjects) relearn(data []byte) error {
	var l learntObjects
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	p.mixed = l.Mixed
	if l.Log {
		p.key = zeekLogKey{l.Path, l.Guess}
		p.log = newZeekLog(l.Path, l.Guess)
		p.logs[p.key] = p.log
	}
	return nil
}
