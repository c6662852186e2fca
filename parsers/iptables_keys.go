package parsers

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// kernelKey is a key or a word that many packets have. Its name is the same memory in
// all of them, so that the columns know it without comparing.
type kernelKey struct {
	name string
	what keyMeaning

	// The key with its "=", or the word with the blank behind it, and which bytes of
	// eight it covers.
	word, mask uint64
	length     int
}

// keyMeaning says where a value goes.
type keyMeaning uint8

const (
	keyOwn keyMeaning = iota // a field of the key's name
	keyIn
	keyOut
	keyMAC
	keySrc
	keyDst
	keyLen
	keyID
	keyProto
	keySrcPort
	keyDstPort
	keyWord // a word that is "true"
	keyFlag // of TCP
)

// kernelKeys are the keys by their numbers, from 1: 0 is what stands in front of the first,
// or behind another one.
var kernelKeys = [...]kernelKey{{},
	newKey("IN=", keyIn), newKey("OUT=", keyOut), newKey("MAC=", keyMAC),
	newKey("SRC=", keySrc), newKey("DST=", keyDst), newKey("LEN=", keyLen),
	newKey("TOS=", keyOwn), newKey("PREC=", keyOwn), newKey("TTL=", keyOwn), newKey("ID=", keyID), newKey("DF ", keyWord),
	newKey("TC=", keyOwn), newKey("FLOWLBL=", keyOwn),
	newKey("PROTO=", keyProto), newKey("SPT=", keySrcPort), newKey("DPT=", keyDstPort),
	newKey("SEQ=", keyOwn), newKey("ACK=", keyOwn), newKey("WINDOW=", keyOwn), newKey("RES=", keyOwn),
	newKey("ACK ", keyFlag), newKey("PSH ", keyFlag), newKey("RST ", keyFlag), newKey("SYN ", keyFlag), newKey("FIN ", keyFlag),
	newKey("URGP=", keyOwn), newKey("TYPE=", keyOwn), newKey("CODE=", keyOwn), newKey("MARK=", keyOwn),
}

func newKey(text string, what keyMeaning) kernelKey {
	k := kernelKey{name: strings.TrimRight(text, "= "), what: what, length: len(text)}
	var b [8]byte
	copy(b[:], text)
	k.word = binary.LittleEndian.Uint64(b[:])
	k.mask = 1<<(8*len(text)) - 1
	return k
}

// keyOrder is which keys came behind each, the latest first.
type keyOrder [len(kernelKeys)][2]uint8

// learn notes the key of a word or pair at b[i:] as the one behind the key before.
func (o *keyOrder) learn(before uint8, b []byte, i int) (number uint8) {
	w := eightAt(b, i)
	for n := 1; n < len(kernelKeys); n++ {
		if k := &kernelKeys[n]; (w^k.word)&k.mask == 0 {
			if ways := &o[before]; ways[0] != uint8(n) {
				ways[0], ways[1] = uint8(n), ways[0]
			}
			return uint8(n)
		}
	}
	return 0
}

// follow reads from position i on while keys come in the order of earlier packets and
// their values are as they mostly are. next is where it stopped, behind a blank.
func (k *packet) follow(i int) (next int) {
	b, last := k.b, k.key
	for len(k.ev.X) < maxFields {
		w, ways := eightAt(b, i), &k.order[last]
		n := ways[0]
		key := &kernelKeys[n]
		if (w^key.word)&key.mask != 0 {
			n = ways[1]
			key = &kernelKeys[n]
		}
		if n == 0 || (w^key.word)&key.mask != 0 {
			break
		}
		end := k.known(key, i)
		if end < 0 {
			break
		}
		last = n
		if i = end; i < len(b) {
			i++
		}
	}
	k.key = last
	return i
}

// known takes the value of a key at i. end is the blank behind it or the end of the
// text, or -1 where pair or word has to look at it.
func (k *packet) known(key *kernelKey, i int) (end int) {
	ev, b := k.ev, k.b
	from := i + key.length
	switch key.what {
	case keySrc:
		return k.addressAt(&ev.SrcIP, from)
	case keyDst:
		return k.addressAt(&ev.DstIP, from)
	case keySrcPort:
		ev.SrcPort, end = portAt(b, from)
		return k.ends(end)
	case keyDstPort:
		ev.DstPort, end = portAt(b, from)
		return k.ends(end)
	case keyWord:
		ev.Put(key.name, "true")
		return from - 1
	case keyFlag:
		k.flag(&k.flags, i, from-1)
		return from - 1
	}
	end = indexFrom(b, from, ' ')
	v, name := text(b[from:end]), key.name
	switch key.what {
	case keyIn:
		ev.InInterface = v
		return end
	case keyOut:
		ev.OutInterface = v
		return end
	case keyMAC:
		if strings.IndexByte(v, '=') >= 0 { // a tunnel
			return -1
		}
	case keyLen:
		if k.proto {
			name = "UDP_LEN"
		}
	case keyID:
		if k.proto {
			name = "ICMP_ID"
		}
	case keyProto:
		if len(v) == 0 {
			return -1
		}
		k.proto = true
		ev.Proto = kernelProto(b[from:end], k.ctx.Arena)
		return end
	}
	ev.Put(name, v)
	return end
}

// addressAt reads the address at i. end is behind it, or -1 where there is none.
func (k *packet) addressAt(to *netip.Addr, i int) (end int) {
	if *to, end = address4(k.b, i); k.ends(end) >= 0 {
		return end
	}
	ok := false
	if end = indexFrom(k.b, i, ' '); end < i+len("::") {
		return -1
	}
	if *to, ok = address6(k.b[i:end]); !ok {
		return -1
	}
	return end
}

// ends is end if a value ends there, else -1.
func (k *packet) ends(end int) int {
	if end < 0 || end < len(k.b) && k.b[end] != ' ' {
		return -1
	}
	return end
}
