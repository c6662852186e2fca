package tui

// pane is a window on a list of items that may be several lines high: which
// item the cursor is on, and where the first line of the window is.
type pane struct {
	cursor int
	top    int // first item shown
	sub    int // lines of it that are above the window
}

// clamp keeps the cursor within n items.
func (p *pane) clamp(n int) {
	p.cursor = max(0, min(p.cursor, n-1))
	p.top = max(0, min(p.top, n-1))
}

// show moves the window by as little as is needed to see the cursor's item, or
// its beginning if it is higher than the window.
func (p *pane) show(n, height int, high func(i int) int) {
	p.clamp(n)
	if n == 0 || height <= 0 {
		p.top, p.sub = 0, 0
		return
	}
	p.sub = max(0, min(p.sub, high(p.top)-1))
	if p.cursor < p.top {
		p.top, p.sub = p.cursor, 0
	}
	if p.cursor == p.top {
		if high(p.cursor) <= height {
			p.sub = 0
		}
		return
	}
	// Lines from the cursor's end upwards: the window may begin no higher.
	room := height - high(p.cursor)
	for i := p.cursor - 1; i >= p.top; i-- {
		h := high(i)
		if i == p.top {
			h -= p.sub
		}
		if room >= h {
			room -= h
			continue
		}
		if room <= 0 {
			p.top, p.sub = i+1, 0
		} else {
			p.top, p.sub = i, high(i)-room
		}
		return
	}
}

// down goes to the next item, or further down in one that is higher than the window.
func (p *pane) down(n, height int, high func(i int) int) {
	if p.cursor == p.top && n > 0 && high(p.cursor)-p.sub > height {
		p.sub++
		return
	}
	p.cursor++
	p.show(n, height, high)
}

// up is the way back.
func (p *pane) up(n, height int, high func(i int) int) {
	if p.cursor == p.top && p.sub > 0 && high(p.cursor) > height {
		p.sub--
		return
	}
	p.cursor--
	p.show(n, height, high)
	if p.cursor == p.top && high(p.cursor) > height {
		p.sub = high(p.cursor) - height
	}
}

// page moves by about a window in direction dir (1 or -1).
func (p *pane) page(dir, n, height int, high func(i int) int) {
	p.clamp(n)
	for moved := 0; moved < height-1 && n > 0; {
		h := high(p.cursor)
		if h > height {
			p.show(n, height, high)
			if dir > 0 && p.sub < h-height || dir < 0 && p.sub > 0 {
				p.sub = max(0, min(p.sub+dir*(height-1), h-height))
				return
			}
		}
		next := p.cursor + dir
		if next < 0 || next >= n {
			break
		}
		moved += h
		p.cursor = next
	}
	p.show(n, height, high)
}

// move does an action that moves the cursor; it reports whether it was one.
func (p *pane) move(a action, n, height int, high func(i int) int) bool {
	switch a {
	case actDown:
		p.down(n, height, high)
	case actUp:
		p.up(n, height, high)
	case actPageDown:
		p.page(1, n, height, high)
	case actPageUp:
		p.page(-1, n, height, high)
	case actTop:
		p.cursor, p.sub = 0, 0
		p.show(n, height, high)
	case actBottom:
		p.cursor = n - 1
		p.show(n, height, high)
		if n > 0 && high(p.cursor) > height {
			p.sub = high(p.cursor) - height
		}
	default:
		return false
	}
	return true
}
