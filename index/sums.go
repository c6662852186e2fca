package index

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"

	"firetrail"
)

// partSize is how many bytes of a source one part of it has, so that a change can
// be placed and a single record be checked.
const partSize = 1 << 20

// valueLen is the length of a chaining value of SHA-256.
const valueLen = sha256.Size

// sourceSum is the SHA-256 of a stream, kept with its chaining value behind each
// part (FIPS 180-4, section 6.2.2: the intermediate hash value, which holds all that
// the hash knows of the blocks before). From the value in front of a part and the
// part's bytes follows the value behind it, so one part can be checked alone, as
// strongly as SHA-256 checks the whole, and a stream that grew can be hashed on.
type sourceSum struct {
	hash   hash.Hash
	size   int64
	values []byte // behind each whole part so far, valueLen bytes each
}

func newSourceSum() *sourceSum { return &sourceSum{hash: sha256.New()} }

// sumBehind goes on behind the parts whose values are given.
func sumBehind(values []byte) (*sourceSum, error) {
	s := newSourceSum()
	s.values = bytes.Clone(values)
	s.size = int64(len(values)) / valueLen * partSize
	return s, s.at(int64(len(values)) / valueLen)
}

// at puts the hash in front of a part.
func (s *sourceSum) at(part int64) error {
	s.hash.Reset()
	if part == 0 {
		return nil
	}
	// The form in which the standard library keeps a hash: a mark, the chaining
	// value, a block that is begun, the number of bytes.
	state := append([]byte(sumMark), s.values[(part-1)*valueLen:part*valueLen]...)
	state = append(state, make([]byte, sha256.BlockSize)...)
	state = binary.BigEndian.AppendUint64(state, uint64(part)*partSize)
	return s.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

const sumMark = "sha\x03"

// value is the chaining value of a hash of whole blocks.
func (s *sourceSum) value() []byte {
	state, err := s.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // the standard library's hash has no error
	}
	return state[len(sumMark):][:valueLen]
}

// Write takes the next bytes of the stream.
func (s *sourceSum) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(int64(len(p)), partSize-s.size%partSize)
		s.hash.Write(p[:k])
		p, s.size = p[k:], s.size+k
		if s.size%partSize == 0 {
			s.values = append(s.values, s.value()...)
		}
	}
	return n, nil
}

// whole is the checksum of all bytes so far, in hex. The stream may go on.
func (s *sourceSum) whole() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// sameParts compares bytes of a source, from the start of a part on and up to the
// start of another or the source's end, with its checksums. It calls changed for each
// part that differs.
func sameParts(t *firetrail.Source, values []byte, first int64, data []byte, changed func(part int64)) error {
	s, err := sumBehind(values)
	if err != nil {
		return err
	}
	for part := first; len(data) > 0; part++ {
		n := min(partSize, len(data))
		if err := s.at(part); err != nil {
			return err
		}
		s.hash.Write(data[:n])
		data = data[n:]
		same := false
		if end := part*partSize + int64(n); end == t.Size {
			same = s.whole() == t.SHA256
		} else if n == partSize {
			same = bytes.Equal(s.value(), values[part*valueLen:][:valueLen])
		}
		if !same {
			changed(part)
		}
	}
	return nil
}

var errSums = errors.New("not what was committed; see 'firetrail verify --repair'")

// valuesOf reads the chaining values behind the whole parts of a source. A source
// that is shorter than a part has none.
func (c *Case) valuesOf(t *taken) ([]byte, error) {
	n := t.Size / partSize * valueLen
	if n == 0 {
		return nil, nil
	}
	f, err := os.Open(c.path("sums", t.ID, ""))
	if err != nil {
		return nil, fmt.Errorf("read checksums: %w", err)
	}
	defer f.Close()
	values := make([]byte, n)
	if _, err := f.ReadAt(values, 0); err != nil {
		return nil, fmt.Errorf("read checksums %s: %w: %w", t.ID, errSums, err)
	}
	if sum := sha256.Sum256(values); hex.EncodeToString(sum[:]) != t.last.Sums {
		return nil, fmt.Errorf("checksums %s: %w", t.ID, errSums)
	}
	return values, nil
}

// writeValues makes the file of a source's values hold these and no others, and
// makes it durable. Those that were committed before stay as they are: a reader may
// be reading them.
func (c *Case) writeValues(id string, values []byte, committed int64) (sum string, err error) {
	if len(values) == 0 {
		return "", nil
	}
	all := sha256.Sum256(values)
	if int64(len(values)) == committed {
		return hex.EncodeToString(all[:]), nil
	}
	f, err := os.OpenFile(c.path("sums", id, ""), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("write checksums: %w", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() < committed {
		committed = 0 // it has lost what it had
	}
	_, err = f.WriteAt(values[committed:], committed)
	if err == nil {
		err = f.Truncate(int64(len(values))) // of what a crash left
	}
	if err != nil {
		f.Close()
		return "", fmt.Errorf("write checksums: %w", err)
	}
	return hex.EncodeToString(all[:]), closeSynced(f)
}
