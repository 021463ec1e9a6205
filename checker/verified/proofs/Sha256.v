(* SHA-256, as FIPS 180-4 defines it, of a sequence of bytes: digests of models, automata, tables and certificates. The examples at
   the end are those that NIST gives. *)
From Coq Require Import ZArith Lia Bool String Strings.Byte List.
From CompactProofs Require Import Bytes.
Import ListNotations.
Open Scope Z_scope.

(* A word, which is a number below 2^32, and what is done with words. Extraction makes them machine integers: shim/words.ml. *)
Inductive word := Word (z : Z).
Definition word_of (z : Z) : word := Word (z mod 2 ^ 32).
Definition value '(Word x) : Z := x.
Definition plus '(Word x) '(Word y) : word := word_of (x + y).
Definition both '(Word x) '(Word y) : word := word_of (Z.land x y).
Definition xor '(Word x) '(Word y) : word := word_of (Z.lxor x y).
Definition inverse '(Word x) : word := word_of (2 ^ 32 - 1 - x).
Definition shift (n : nat) '(Word x) : word := word_of (x / 2 ^ Z.of_nat n).
Definition turn (n : nat) '(Word x) : word := word_of (x / 2 ^ Z.of_nat n + (x mod 2 ^ Z.of_nat n) * 2 ^ (32 - Z.of_nat n)).
Definition word_of_bytes (a b c d : byte) : word := word_of (((number a * 256 + number b) * 256 + number c) * 256 + number d).
(* Byte number i of a word, the first being the highest. *)
Definition byte_of_word (i : nat) '(Word x) : byte := byte_of (x / 256 ^ (3 - Z.of_nat i)).

Lemma word_below z : 0 <= value (word_of z) < 2 ^ 32.
Proof. apply Z.mod_pos_bound. reflexivity. Qed.

(* The largest number whose k-th power is at most n, if it has so many bits; found bit by bit. *)
Fixpoint root (k n : Z) (bits : nat) (found : Z) : Z :=
  match bits with O => found | S b => let more := found + 2 ^ Z.of_nat b in root k n b (if more ^ k <=? n then more else found) end.
Lemma root_spec k n bits : 0 <= k -> forall found, found ^ k <= n < (found + 2 ^ Z.of_nat bits) ^ k ->
  root k n bits found ^ k <= n < (root k n bits found + 1) ^ k.
Proof.
  intros Hk. induction bits as [|b IH]; intros found H; cbn [root]; auto. apply IH.
  rewrite Nat2Z.inj_succ, Z.pow_succ_r in H by lia. destruct (Z.leb_spec ((found + 2 ^ Z.of_nat b) ^ k) n); [|lia].
  now replace (found + 2 ^ Z.of_nat b + 2 ^ Z.of_nat b) with (found + 2 * 2 ^ Z.of_nat b) by lia.
Qed.
Definition primes : list Z :=
  filter (fun n => forallb (fun m => negb (n mod m =? 0)) (map Z.of_nat (seq 2 (Z.to_nat n - 2)))) (map Z.of_nat (seq 2 310)).
(* The first 32 bits of the fractional parts of the primes' square roots and cube roots. *)
Definition root_bits (k p : Z) : word := word_of (root k (p * 2 ^ (32 * k)) 40 0).

Record state := State { wa : word; wb : word; wc : word; wd : word; we : word; wf : word; wg : word; wh : word }.
Definition initial : state :=
  match map (root_bits 2) primes with
  | a :: b :: c :: d :: e :: f :: g :: h :: _ => State a b c d e f g h
  | _ => let z := word_of 0 in State z z z z z z z z
  end.
Definition constants : list word := map (root_bits 3) primes.

(* The words of a block and those derived from them, 64 in all; those so far are given, the last one first. *)
Fixpoint schedule (n : nat) (words : list word) : list word :=
  match n, words with
  | S m, _ :: w2 :: _ :: _ :: _ :: _ :: w7 :: _ :: _ :: _ :: _ :: _ :: _ :: _ :: w15 :: w16 :: _ =>
      let s0 := xor (xor (turn 7 w15) (turn 18 w15)) (shift 3 w15) in
      let s1 := xor (xor (turn 17 w2) (turn 19 w2)) (shift 10 w2) in
      schedule m (plus (plus s1 w7) (plus s0 w16) :: words)
  | _, _ => rev_append words []
  end.
Definition round (s : state) (constant_and_word : word * word) : state :=
  let (k, w) := constant_and_word in let (a, b, c, d, e, f, g, h) := s in
  let s1 := xor (xor (turn 6 e) (turn 11 e)) (turn 25 e) in
  let choice := xor (both e f) (both (inverse e) g) in
  let t1 := plus (plus (plus h s1) (plus choice k)) w in
  let s0 := xor (xor (turn 2 a) (turn 13 a)) (turn 22 a) in
  let majority := xor (xor (both a b) (both a c)) (both b c) in
  State (plus t1 (plus s0 majority)) a b c (plus d t1) e f g.
Definition with_block (s : state) (last_first : list word) : state :=
  let (a, b, c, d, e, f, g, h) := s in
  let (a', b', c', d', e', f', g', h') := fold_left round (combine constants (schedule 48 last_first)) s in
  State (plus a a') (plus b b') (plus c c') (plus d d') (plus e e') (plus f f') (plus g g') (plus h h').

Section Message.
Variable s : bytes.
(* The message is followed by the bit 1, by zeros, and by its number of bits, as 8 bytes, so that there are only whole blocks. *)
Definition blocks : nat := ((n_bytes s + 8) / 64 + 1)%nat.
Definition padded (i : nat) : byte :=
  if (i <? n_bytes s)%nat then byte_at s i
  else if (i =? n_bytes s)%nat then x80
  else let after := (64 * blocks - 1 - i)%nat in
       if (after <? 8)%nat then byte_of (8 * Z.of_nat (n_bytes s) / 256 ^ Z.of_nat after) else x00.
Definition word_at (i : nat) : word := word_of_bytes (padded i) (padded (i + 1)) (padded (i + 2)) (padded (i + 3)).
(* With so many more blocks, the first of which begins at a place. *)
Fixpoint with_blocks (more place : nat) (found : state) : state :=
  match more with
  | O => found
  | S n => with_blocks n (place + 64) (with_block found (map (fun i => word_at (place + 4 * (15 - i))) (seq 0 16)))
  end.
Definition sha256 : list byte :=
  let (a, b, c, d, e, f, g, h) := with_blocks blocks 0 initial in
  flat_map (fun w => map (fun i => byte_of_word i w) (seq 0 4)) [a; b; c; d; e; f; g; h].
End Message.

Definition hex_digit (z : Z) : byte := byte_of (if z <? 10 then 48 + z else 87 + z).
Definition in_hex (l : list byte) : list byte := flat_map (fun b => [hex_digit (number b / 16); hex_digit (number b mod 16)]) l.

Definition digest_of (text : string) : string := string_of_list_byte (in_hex (sha256 (bytes_of (list_byte_of_string text)))).
Example sha256_of_nothing : digest_of "" = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"%string.
Proof. vm_compute. reflexivity. Qed.
Example sha256_of_abc : digest_of "abc" = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"%string.
Proof. vm_compute. reflexivity. Qed.
Example sha256_of_two_blocks : digest_of "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
  = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"%string.
Proof. vm_compute. reflexivity. Qed.
