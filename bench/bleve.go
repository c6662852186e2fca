//go:build ignore

// Indexes conn records of Zeek in bleve, a document an event with 12 fields, and prints
// seconds and bytes on disk:
//
//	bleve CONN.LOG RECORDS FOLDER
//
// bench/run builds it in a module of its own, so that the project need not depend on
// what it is compared with.
package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
)

// columns of conn.log that are indexed, and whether they are numbers.
var columns = map[string]bool{
	"ts": true, "id.orig_h": false, "id.orig_p": true, "id.resp_h": false, "id.resp_p": true, "proto": false, "service": false,
	"duration": true, "orig_bytes": true, "resp_bytes": true, "conn_state": false, "history": false,
}

func main() {
	limit, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	folder := os.Args[3]
	mapping := bleve.NewIndexMapping()
	mapping.DefaultAnalyzer = keyword.Name
	began := time.Now()
	index, err := bleve.New(folder, mapping)
	if err != nil {
		log.Fatal(err)
	}
	n := fill(index, os.Args[1], limit)
	if err := index.Close(); err != nil {
		log.Fatal(err)
	}
	spent := time.Since(began)
	size := int64(0)
	filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if info, ierr := d.Info(); err == nil && ierr == nil && !d.IsDir() {
			size += info.Size()
		}
		return err
	})
	fmt.Printf("%d %.3f %d\n", n, spent.Seconds(), size)
}

func fill(index bleve.Index, path string, limit int) (n int) {
	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var names []string
	batch := index.NewBatch()
	for lines.Scan() && n < limit {
		cells := strings.Split(lines.Text(), "\t")
		if cells[0] == "#fields" {
			names = cells[1:]
		}
		if strings.HasPrefix(cells[0], "#") {
			continue
		}
		doc := map[string]any{}
		for i, cell := range cells {
			if number, ok := columns[names[i]]; ok && cell != "-" {
				doc[names[i]] = cell
				if v, err := strconv.ParseFloat(cell, 64); number && err == nil {
					doc[names[i]] = v
				}
			}
		}
		if err := batch.Index(strconv.Itoa(n), doc); err != nil {
			log.Fatal(err)
		}
		if n++; n%1000 == 0 {
			if err := index.Batch(batch); err != nil {
				log.Fatal(err)
			}
			batch.Reset()
		}
	}
	if err := index.Batch(batch); err != nil {
		log.Fatal(err)
	}
	return n
}
