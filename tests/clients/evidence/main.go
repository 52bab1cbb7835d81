// Checks logs of evidence with the verifiers of Go's own transparency log, golang.org/x/mod/sumdb.
//
// Requests come on standard input, one JSON object after another; each gets a line of JSON on standard
// output that says what was verified, and what was refused and why. Bytes are in base64.
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A request is a signed checkpoint and what it is to bear out; what is not there is not looked at.
type request struct {
	Key  string // the verifier key of the log
	Note string // the signed checkpoint

	Witnesses []string     // verifier keys of those who must have cosigned it
	Inclusion []inclusion  // leaves that must be in its tree
	Older     *consistency // a tree that its own must hold
	Leaves    *[][]byte    // all leaves of its tree, in order
	Tiles     map[string][]byte
}

// An inclusion is a leaf, or else its hash, and the proof for its place.
type inclusion struct {
	Leaf  *[]byte
	Hash  []byte
	Index int64
	Proof [][]byte
}

// A consistency is an earlier signed checkpoint of the same log and the proof between the two.
type consistency struct {
	Note  string
	Proof [][]byte
}

type answer struct {
	Size     int64             `json:"size"`
	Root     []byte            `json:"root"`
	Verified []string          `json:"verified"`
	Refused  map[string]string `json:"refused"`
}

func (a *answer) record(what string, err error) {
	if err == nil {
		a.Verified = append(a.Verified, what)
	} else {
		a.Refused[what] = err.Error()
	}
}

func main() {
	requests := json.NewDecoder(bufio.NewReader(os.Stdin))
	requests.DisallowUnknownFields()
	answers := json.NewEncoder(os.Stdout)
	for {
		var asked request
		if err := requests.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := answers.Encode(check(asked)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func check(asked request) answer {
	a := answer{Verified: []string{}, Refused: map[string]string{}}
	tree, err := open(asked.Key, asked.Note)
	a.record("note", err)
	if err != nil {
		return a
	}
	a.Size, a.Root = tree.N, tree.Hash[:]
	for _, witness := range asked.Witnesses {
		name, _, _ := strings.Cut(witness, "+")
		a.record("witness "+name, cosigned(witness, asked.Note))
	}
	for _, one := range asked.Inclusion {
		a.record(fmt.Sprintf("inclusion %d", one.Index), included(one, tree))
	}
	if asked.Older != nil {
		a.record("consistency", consistent(*asked.Older, asked.Key, tree))
	}
	if asked.Leaves != nil {
		a.record("leaves", allLeaves(*asked.Leaves, tree))
	}
	if asked.Tiles != nil {
		a.record("tiles", tiled(asked.Tiles, asked.Leaves, tree))
	}
	return a
}

// open answers what a checkpoint says that is signed by this key and is of the log of its name.
func open(key, text string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || lines[1] != strconv.FormatInt(size, 10) {
		return tlog.Tree{}, errors.New("not a size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// A witness verifies cosignatures of C2SP tlog-cosignature, which x/mod has no key type for.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }

func (w witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(signature)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", time, text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func cosigned(key, text string) error {
	parts := strings.SplitN(key, "+", 3)
	if len(parts) != 3 {
		return errors.New("not a verifier key")
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return err
	}
	typed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(typed) != 1+ed25519.PublicKeySize || typed[0] != 4 {
		return errors.New("not the key of a cosigner")
	}
	by := witness{parts[0], uint32(hash), ed25519.PublicKey(typed[1:])}
	_, err = note.Open([]byte(text), note.VerifierList(by))
	return err
}

func included(one inclusion, tree tlog.Tree) error {
	var leaf tlog.Hash
	if one.Leaf != nil {
		leaf = tlog.RecordHash(*one.Leaf)
	} else if copy(leaf[:], one.Hash) != tlog.HashSize {
		return errors.New("not a hash")
	}
	proof, err := hashes(one.Proof)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, one.Index, leaf)
}

func consistent(older consistency, key string, tree tlog.Tree) error {
	old, err := open(key, older.Note)
	if err != nil {
		return err
	}
	proof, err := hashes(older.Proof)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

func hashes(proof [][]byte) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, one := range proof {
		var hash tlog.Hash
		if len(one) != copy(hash[:], one) || len(one) != tlog.HashSize {
			return nil, errors.New("not a hash")
		}
		all = append(all, hash)
	}
	return all, nil
}

// allLeaves makes the whole tree anew.
func allLeaves(leaves [][]byte, tree tlog.Tree) error {
	if int64(len(leaves)) != tree.N {
		return fmt.Errorf("%d leaves in a tree of %d", len(leaves), tree.N)
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var read []tlog.Hash
		for _, index := range indexes {
			read = append(read, stored[index])
		}
		return read, nil
	})
	for n, leaf := range leaves {
		more, err := tlog.StoredHashes(int64(n), leaf, reader)
		if err != nil {
			return err
		}
		stored = append(stored, more...)
	}
	root, err := treeHash(tree.N, reader)
	if err == nil && root != tree.Hash {
		err = errors.New("another root")
	}
	return err
}

// treeHash is x/mod's, which has a root of its own for the empty tree: RFC 6962 says SHA-256 of nothing.
func treeHash(size int64, reader tlog.HashReader) (tlog.Hash, error) {
	if size == 0 {
		return tlog.ParseHash("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
	}
	return tlog.TreeHash(size, reader)
}

// stored are tiles by their paths of C2SP tlog-tiles: those of x/mod without the height in them.
type stored map[string][]byte

func (s stored) Height() int { return 8 }

func (s stored) SaveTiles([]tlog.Tile, [][]byte) {}

func (s stored) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, ok := s[path]
		if !ok {
			return nil, fmt.Errorf("no %s", path)
		}
		read = append(read, data)
	}
	return read, nil
}

// tiled reads every leaf's hash through the tiles, which x/mod holds against the root.
func tiled(tiles stored, leaves *[][]byte, tree tlog.Tree) error {
	if tree.N == 0 {
		return nil
	}
	var indexes []int64
	for n := int64(0); n < tree.N; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(0, n))
	}
	read, err := tlog.TileHashReader(tree, tiles).ReadHashes(indexes)
	if err != nil || leaves == nil {
		return err
	}
	for n, leaf := range *leaves {
		if n >= len(read) || tlog.RecordHash(leaf) != read[n] {
			return fmt.Errorf("another leaf %d", n)
		}
	}
	return nil
}
