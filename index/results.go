package index

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"firetrail"
)

// Inventory and results are kept as gob: exact (times, addresses and floats
// come back as they were), from the standard library, and the same bytes for
// the same values, since none of the types holds a map.
const (
	inventoryName = "runs/inventory.gob"
	importsName   = "runs/imports.jsonl"
	resultsName   = "findings/results.gob"
)

// InventoryFile is a file that runs were imported from, kept in the case so
// that later imports are joined with it.
type InventoryFile struct {
	Path         string `json:"path"`
	SHA256       string `json:"sha256"`
	Kind         string `json:"kind,omitempty"`
	Zone         string `json:"zone,omitempty"`
	RunAttribute string `json:"run_attribute,omitempty"`
	Data         []byte `json:"-"`
}

// InventoryFiles adds files to those that the case keeps and returns all of
// them in the order of their import. A file with the same content and options is
// kept once.
func (c *Case) InventoryFiles(add []InventoryFile) ([]InventoryFile, error) {
	all, err := c.inventoryFiles()
	if err != nil {
		return nil, err
	}
	for _, f := range add {
		sum := sha256.Sum256(f.Data)
		f.SHA256 = hex.EncodeToString(sum[:])
		known := false
		for _, o := range all {
			known = known || o.SHA256 == f.SHA256 && o.Kind == f.Kind && o.Zone == f.Zone && o.RunAttribute == f.RunAttribute
		}
		if known {
			continue
		}
		if err := c.writeAtomic("runs/"+f.SHA256, f.Data); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, c.saveImports(all)
}

// DropInventoryFile forgets a file that could not be read.
func (c *Case) DropInventoryFile(f InventoryFile) error {
	all, err := c.inventoryFiles()
	if err != nil {
		return err
	}
	kept := all[:0]
	for _, o := range all {
		if o.SHA256 != f.SHA256 || o.Path != f.Path {
			kept = append(kept, o)
		}
	}
	return c.saveImports(kept)
}

func (c *Case) saveImports(all []InventoryFile) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, f := range all {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return c.writeAtomic(importsName, b.Bytes())
}

func (c *Case) inventoryFiles() ([]InventoryFile, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir(), importsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []InventoryFile
	for line := range bytes.Lines(data) {
		var f InventoryFile
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("%s: %w", importsName, err)
		}
		if f.Data, err = os.ReadFile(filepath.Join(c.Dir(), "runs", f.SHA256)); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// SaveInventory replaces the case's inventory and enters it in the custody log.
func (c *Case) SaveInventory(inv firetrail.Inventory) error {
	text := fmt.Sprintf("%d runs, %d tool calls", len(inv.Runs), len(inv.Calls))
	runs := inv.Runs
	inv.Runs = nil
	return c.record("runs import", text, func() error { return c.saveGob(inventoryName, runs, inv) })
}

// Inventory is what was imported; empty where nothing was.
func (c *Case) Inventory() (firetrail.Inventory, error) {
	var runs []firetrail.Run
	var inv firetrail.Inventory
	_, err := c.loadGob(inventoryName, &runs, &inv)
	inv.Runs = runs
	return inv, err
}

// runs are those of the inventory. They stand in front of the tool calls, which are many.
func (c *Case) runs() ([]firetrail.Run, error) {
	var runs []firetrail.Run
	_, err := c.loadGob(inventoryName, &runs)
	return runs, err
}

// SaveResults replaces what the last correlation concluded and enters it in the
// custody log.
func (c *Case) SaveResults(r firetrail.Results) error {
	text := fmt.Sprintf("%d findings, %d incidents", len(r.Findings), len(r.Incidents))
	return c.record("correlate", text, func() error { return c.saveGob(resultsName, r) })
}

// record writes under the writers' lock and says so in the custody log.
func (c *Case) record(action, text string, write func() error) error {
	if err := c.acquire(); err != nil {
		return err
	}
	err := write()
	if uerr := c.unlock(); err == nil {
		err = uerr
	}
	if err != nil {
		return err
	}
	return c.Log(CustodyEntry{Action: action, Text: text})
}

// Results is what the last correlation concluded; ok is false where none was made.
func (c *Case) Results() (r firetrail.Results, ok bool, err error) {
	ok, err = c.loadGob(resultsName, &r)
	return r, ok, err
}

// saveGob writes values one behind the other.
func (c *Case) saveGob(name string, values ...any) error {
	var b bytes.Buffer
	enc := gob.NewEncoder(&b)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
	}
	return c.writeAtomic(name, b.Bytes())
}

// loadGob reads the first values of a file; ok is false where there is none.
func (c *Case) loadGob(name string, values ...any) (ok bool, err error) {
	f, err := os.Open(filepath.Join(c.Dir(), name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	dec := gob.NewDecoder(bufio.NewReaderSize(f, 256<<10))
	for _, v := range values {
		if err := dec.Decode(v); err != nil {
			return false, fmt.Errorf("%s is damaged: %w; run 'firetrail runs import' or 'firetrail correlate' again", name, err)
		}
	}
	return true, nil
}

// writeAtomic replaces a file of the case: a reader sees the old content or the
// new one, also after a crash.
func (c *Case) writeAtomic(name string, data []byte) error {
	path := filepath.Join(c.Dir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(f.Name(), path)
}
