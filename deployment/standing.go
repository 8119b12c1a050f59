package deployment

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/otaria/otaria/fleet"
)

// Offer is the one thing a poll offers (device-apis A.3).
type Offer uint8

// The offers.
const (
	OfferNothing Offer = iota
	OfferConfirmation
	OfferCancel
	OfferDeployment
)

// OfferOf returns what an active action in this status is offered as.
func OfferOf(s Status) Offer {
	switch s {
	case WaitForConfirmation:
		return OfferConfirmation
	case Canceling, Canceled:
		return OfferCancel
	default:
		return OfferDeployment
	}
}

// Standing is what one target hears when it polls, and how it proves to be
// that target. It holds no pointers, so that a million of them cost the
// garbage collector nothing.
type Standing struct {
	Target          fleet.TargetID
	Action          ActionID // the current action; 0: none
	Installed       ActionID // whose set is installed; 0: none
	Revision        int64    // of Action
	ForcedAt        int64    // when Action becomes forced, in milliseconds; 0: nothing will change by itself
	Token           [16]byte // fingerprint of the target's token
	Address         uint32   // fingerprint of the stored address
	Offer           Offer
	Unseen          bool  // the target has never been seen
	WantsAttributes bool  // the target shall send its attributes
	Volatile        bool  // moves with the clock (a maintenance window): ask the store each time
	Interval        uint8 // which polling interval holds: 0 the base, n the n-th override
}

// TokenFingerprint is what a Standing keeps of a target's token: half of its
// SHA-256, which is as hard to meet as a random token of 128 bits.
func TokenFingerprint[text string | []byte](token text) (f [16]byte) {
	sum := sha256.Sum256([]byte(token))
	copy(f[:], sum[:])
	return f
}

// AddressFingerprint is what a Standing keeps of an address: FNV-1a, since
// nothing is at stake but whether a device's new address is noticed.
func AddressFingerprint[text string | []byte](address text) uint32 {
	h := uint32(2166136261)
	for i := range len(address) {
		h = (h ^ uint32(address[i])) * 16777619
	}
	return h
}

// ChangeToken is the c of a poll's link. It stays the same while nothing about
// the action changed, and differs after every change that the device may hear
// of: of the action, its forced time passing, its window opening or closing.
// It is a signed 32-bit number that defeats caches (device-apis A.3).
func ChangeToken(id ActionID, revision int64, forcedAt int64, windowOpen bool, now time.Time) int32 {
	var b [17]byte
	binary.LittleEndian.PutUint64(b[0:], uint64(id))
	binary.LittleEndian.PutUint64(b[8:], uint64(revision))
	if windowOpen {
		b[16] = 1
	}
	if forcedAt != 0 && now.UnixMilli() >= forcedAt {
		b[16] |= 2
	}
	h := fnv.New32a()
	_, _ = h.Write(b[:]) // never fails
	return int32(h.Sum32())
}
