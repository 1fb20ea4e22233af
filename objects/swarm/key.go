package swarm

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo"
)

// Key names what is asked for: an object, or if that is zero, content.
type Key struct {
	Object raygo.ObjectID
	CID    cid.Cid
}

// ObjectKey names an object.
func ObjectKey(id raygo.ObjectID) Key { return Key{Object: id} }

// FileKey names a file, such as a program, by content.
func FileKey(c cid.Cid) Key { return Key{CID: c} }

// String is the key for people.
func (k Key) String() string {
	if k.Object.IsZero() {
		return k.CID.String()
	}
	return "object " + k.Object.String()
}

var errKey = errors.New("names neither an object nor content")

// sha256Code is the multihash code of SHA-256.
const sha256Code = 0x12

// checkCID refuses names that objects do not have.
func checkCID(c cid.Cid) error {
	if !c.Defined() {
		return errKey
	}
	p := c.Prefix()
	if p.Version != 1 || p.MhType != sha256Code || p.MhLength != 32 || (p.Codec != cid.Raw && p.Codec != cid.DagCBOR) {
		return fmt.Errorf("%s is not the CID of an object or a program", c)
	}
	return nil
}

func (k Key) validate() error {
	if !k.Object.IsZero() {
		if k.CID.Defined() {
			return errors.New("names both an object and content")
		}
		return nil
	}
	return checkCID(k.CID)
}
