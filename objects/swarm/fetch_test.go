package swarm

import (
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo/objects"
)

var sizes = []int{0, 1, objects.BlockSize, objects.BlockSize + 1, 40 * objects.BlockSize}

// behaviour 151
func TestObjectsOfAllSizesArrive(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", nil, 256<<20), w.join("b", nil, 256<<20)
	for n, size := range sizes {
		for _, known := range []bool{true, false} {
			id := object(uint32(2*n + 1))
			if known {
				id = object(uint32(2 * n))
			}
			t.Run(fmt.Sprintf("%d bytes, CID known %v", size, known), func(t *testing.T) {
				data := content(uint32(n), size)
				want := a.put(id, data)
				name := want.CID
				if !known {
					want.CID, want.Maker = cid.Undef, "a"
				}
				res := b.mustFetch(want, data)
				if !res.CID.Equals(name) || res.Size != uint64(size) || res.Present {
					t.Errorf("got %+v, want CID %s", res, name)
				}
				if again := b.mustFetch(want, data); !again.Present {
					t.Error("fetched a second time")
				}
			})
		}
	}
}
