package index

import (
	"sync"

	"firetrail/index/blocks"
)

// termCache keeps block indexes open. They are mapped, not read, so that one costs
// address space and what of it is looked at; files beyond maxTermIndexes are opened
// anew for each question.
type termCache struct {
	mu    sync.Mutex
	items map[string]*blocks.Index
}

const maxTermIndexes = 4096

// termIndex opens the block index of a segment or finds it open. release must be called
// once. An error says that it is missing or damaged: it is derived, and nothing but
// speed hangs on it.
func (c *Case) termIndex(seg *segment) (x *blocks.Index, release func(), err error) {
	t := &c.terms
	t.mu.Lock()
	x = t.items[seg.Name]
	t.mu.Unlock()
	if x != nil {
		return x, func() {}, nil
	}
	if x, err = blocks.Open(c.path("blocks", seg.Name, termsExt), seg.blocks()); err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.items[seg.Name] != nil: // another goroutine was faster
		x.Close()
		return t.items[seg.Name], func() {}, nil
	case len(t.items) >= maxTermIndexes:
		return x, func() { x.Close() }, nil
	case t.items == nil:
		t.items = map[string]*blocks.Index{}
	}
	t.items[seg.Name] = x
	return x, func() {}, nil
}

// forget has the next question open a file that was written anew. The old one stays
// mapped for those that are using it.
func (t *termCache) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.items, name)
}

func (t *termCache) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.items {
		x.Close()
	}
	t.items = nil
}
