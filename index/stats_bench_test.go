package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"firetrail/index/columns"
)

func BenchmarkTextTable(b *testing.B) {
	texts := make([]string, 1<<16)
	for i := range texts {
		texts[i] = fmt.Sprintf("10.%d.%d.%d", i>>12, i>>6&63, i&63)
	}
	var t textTable
	for _, s := range texts {
		t.id(s, hashText(s))
	}
	for i := 0; b.Loop(); i++ {
		s := texts[i*7919&(len(texts)-1)]
		t.id(s, hashText(s))
	}
}

// BenchmarkGroupTable finds the groups of blocks of rows, of three columns, of which there
// are many groups.
func BenchmarkGroupTable(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	t := groupTable{width: 3}
	blocks := make([][][]uint32, 64)
	for i := range blocks {
		for range 3 {
			col := make([]uint32, columns.BlockRows)
			for k := range col {
				col[k] = uint32(rnd.ExpFloat64() * 40)
			}
			blocks[i] = append(blocks[i], col)
		}
	}
	hashes, groups := make([]uint64, columns.BlockRows), make([]uint32, columns.BlockRows)
	for _, block := range blocks {
		t.find(block, hashes, groups)
	}
	for i := 0; b.Loop(); i++ {
		t.find(blocks[i%len(blocks)], hashes, groups)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*columns.BlockRows), "ns/row")
}

func BenchmarkDistincts(b *testing.B) {
	var d distincts
	for i := range uint64(1_000_000) {
		d.add(uint32(i%1000), hashInt(i*i%100_003))
	}
	for i := uint64(0); b.Loop(); i++ {
		d.add(uint32(i%1000), hashInt(i*i%100_003))
	}
}

func BenchmarkQuantiles(b *testing.B) {
	var q quantiles
	for i := 0; b.Loop(); i++ {
		q.add(float64(i * 7919 % 1_000_003))
	}
}
