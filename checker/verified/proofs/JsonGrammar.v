(* What JSON is (RFC 8259, within the limits of FORMAT.md 1): the texts that have a value. The parser keeps to it. *)
From Coq Require Import ZArith Lia Bool Strings.Byte List.
From CompactProofs Require Import Bytes Utf8 Json.
Import ListNotations.
Open Scope Z_scope.

Definition spaces (s : list byte) : Prop := Forall (fun b => In b [x20; x09; x0a; x0d]) s.
(* A character inside of a text: itself in UTF-8, or escaped. *)
Inductive char_spelling : Z -> list byte -> Prop :=
  | as_itself c : scalar c = true -> 32 <= c -> c <> 0x22 -> c <> 0x5c -> char_spelling c (utf8 c)
  | short b c : In (b, c) [(x22, 0x22); (x5c, 0x5c); (x2f, 0x2f); ("b"%byte, 8); ("f"%byte, 12); ("n"%byte, 10); ("r"%byte, 13); ("t"%byte, 9)] ->
      char_spelling c [x5c; b]
  | as_unit c s : hex s = Some (c, []) -> scalar c = true -> char_spelling c (x5c :: "u"%byte :: s)
  | as_pair high low s t : hex s = Some (high, []) -> hex t = Some (low, []) -> 0xd800 <= high < 0xdc00 -> 0xdc00 <= low < 0xe000 ->
      char_spelling (0x10000 + (high - 0xd800) * 1024 + (low - 0xdc00)) (x5c :: "u"%byte :: s ++ x5c :: "u"%byte :: t).
Inductive text_spelling : list Z -> list byte -> Prop :=
  | quoted s parts : Forall2 char_spelling s parts -> text_spelling s (x22 :: concat parts ++ [x22]).
Definition sign (minus : bool) : list byte := if minus then [x2d] else [].
Definition signed (minus : bool) (z : Z) : Z := if minus then - z else z.
Definition some_digit (l : list byte) : Prop := l <> [] /\ forallb is_digit l = true.
Definition whole_digits (l : list byte) : Prop := some_digit l /\ (l = [x30] \/ hd x30 l <> x30) /\ (length l <= most_digits)%nat.
Inductive after_point : list byte -> list byte -> Prop :=
  | no_point : after_point [] []
  | point l : some_digit l -> (length l <= 60)%nat -> after_point l (x2e :: l).
Inductive power_spelling : Z -> list byte -> Prop :=
  | no_power : power_spelling 0 []
  | power e s minus l : In e ["e"; "E"]%byte -> s = sign minus \/ (s = [x2b] /\ minus = false) -> some_digit l -> (length l <= 3)%nat ->
      power_spelling (signed minus (digits_value l)) (e :: s ++ l).
Inductive number_spelling : json -> list byte -> Prop :=
  | an_integer minus l : whole_digits l -> number_spelling (Integer (signed minus (digits_value l))) (sign minus ++ l)
  | a_decimal minus l f fs e es : whole_digits l -> (length l <= 30)%nat -> after_point f fs -> power_spelling e es -> fs ++ es <> [] ->
      number_spelling (Decimal (signed minus (digits_value (l ++ f))) (e - Z.of_nat (length f))) (sign minus ++ l ++ fs ++ es).
(* With spaces around it. *)
Definition spaced {A} (spelling : A -> list byte -> Prop) (x : A) (s : list byte) : Prop :=
  exists before t after, spaces before /\ spelling x t /\ spaces after /\ s = before ++ t ++ after.
Inductive spelling : nat -> json -> list byte -> Prop :=
  | null n : spelling n Null ["n"; "u"; "l"; "l"]%byte
  | yes n : spelling n (Truth true) ["t"; "r"; "u"; "e"]%byte
  | no n : spelling n (Truth false) ["f"; "a"; "l"; "s"; "e"]%byte
  | a_number n v s : number_spelling v s -> spelling n v s
  | a_text n t s : text_spelling t s -> spelling n (Text t) s
  | no_items n s : spaces s -> spelling (S n) (Items []) (x5b :: s ++ [x5d])
  | some_items n l parts : l <> [] -> Forall2 (spaced (spelling n)) l parts -> spelling (S n) (Items l) (x5b :: joined parts ++ [x5d])
  | no_members n s : spaces s -> spelling (S n) (Members []) (x7b :: s ++ [x7d])
  | some_members n l parts : l <> [] -> NoDup (map fst l) ->
      Forall2 (fun m s => exists key v, spaced text_spelling (fst m) key /\ spaced (spelling n) (snd m) v /\ s = key ++ x3a :: v) l parts ->
      spelling (S n) (Members l) (x7b :: joined parts ++ [x7d]).

Lemma skip_sound s : exists before, spaces before /\ s = before ++ skip s.
Proof.
  induction s as [|b s (before & S & E)]; [exists []; split; [constructor|reflexivity]|].
  assert (Or : skip (b :: s) = b :: s \/ In b [x20; x09; x0a; x0d] /\ skip (b :: s) = skip s) by (destruct b; cbn; auto 8).
  destruct Or as [-> |[I ->]]; [exists []; split; [constructor|reflexivity]|].
  exists (b :: before). split; [constructor; auto|]. cbn. now rewrite <- E.
Qed.
Lemma hex_sound s c r : hex s = Some (c, r) -> exists t, s = t ++ r /\ hex t = Some (c, []) /\ 0 <= c < 0x10000.
Proof.
  assert (V : forall b x, hex_value b = Some x -> 0 <= x < 16) by (intros b x; unfold hex_value; cases; intros [= <-]; lia).
  destruct s as [|a [|b [|d [|e s]]]]; try discriminate. cbn [hex]. intros H. exists [a; b; d; e]. cbn [hex].
  destruct (hex_value a) eqn:A, (hex_value b) eqn:B, (hex_value d) eqn:D, (hex_value e) eqn:E; try discriminate.
  apply V in A, B, D, E. injection H as <- <-. repeat split; lia.
Qed.
Lemma escaped_sound s c r : escaped s = Some (c, r) -> exists t, s = t ++ r /\ char_spelling c (x5c :: t).
Proof.
  destruct s as [|b s]; [discriminate|].
  assert (Or : (exists k,
    In (b, k) [(x22, 0x22); (x5c, 0x5c); (x2f, 0x2f); ("b"%byte, 8); ("f"%byte, 12); ("n"%byte, 10); ("r"%byte, 13); ("t"%byte, 9)]
    /\ escaped (b :: s) = Some (k, s)) \/ b = "u"%byte \/ escaped (b :: s) = None) by
    (destruct b; try (right; right; reflexivity); try (right; left; reflexivity); left; eexists; (split; [cbn; eauto 12|reflexivity])).
  destruct Or as [(k & I & ->)|[-> | ->]]; [| |discriminate].
  - intros H. injection H as <- <-. exists [b]. split; auto. now constructor.
  - cbn [escaped]. destruct (hex s) as [[high r']|] eqn:H; [|discriminate]. apply hex_sound in H as (t & -> & H & Hb).
    destruct (scalar high) eqn:S.
    + intros E. injection E as <- <-. exists ("u"%byte :: t). split; auto. now constructor.
    + destruct r' as [|b r']; [discriminate|]. destruct (Byte.byte_eq_dec b x5c) as [->|N]; [|destruct b; try discriminate; now contradict N].
      destruct r' as [|b r']; [discriminate|]. destruct (Byte.byte_eq_dec b "u"%byte) as [->|N]; [|destruct b; try discriminate; now contradict N].
      destruct (hex r') as [[low r'']|] eqn:H'; [|discriminate]. apply hex_sound in H' as (t' & -> & H' & _).
      destruct ((high <? 56320) && (56320 <=? low) && (low <? 57344)) eqn:B; [|discriminate].
      assert (P := as_pair high low t t' H H'). set (point := 65536 + (high - 55296) * 1024 + (low - 56320)) in *. clearbody point.
      intros E. injection E as <- <-. exists ("u"%byte :: t ++ x5c :: "u"%byte :: t'). split; [cbn [app]; now rewrite <- app_assoc|].
      apply P; unfold scalar in S; cases; lia.
Qed.
Lemma chars_sound n : forall found s l r, chars n found s = Some (l, r) -> exists rest parts,
  l = rev found ++ rest /\ Forall2 char_spelling rest parts /\ s = concat parts ++ x22 :: r.
Proof.
  induction n as [|n IH]; intros found s l r H; [discriminate|]. destruct s as [|b s]; [discriminate|]. cbn [chars] in H.
  destruct (Byte.eqb b x22) eqn:Q; [|destruct (Byte.eqb b x5c) eqn:B; [|destruct (Z.ltb_spec (number b) 32); [discriminate|]]].
  - injection H as <- <-. apply Byte.byte_dec_bl in Q. subst. exists [], []. rewrite rev_append_rev. auto.
  - destruct (escaped s) as [[c r']|] eqn:E; [|discriminate]. apply escaped_sound in E as (t & -> & C). apply Byte.byte_dec_bl in B. subst.
    apply IH in H as (rest & parts & -> & F & ->). exists (c :: rest), ((x5c :: t) :: parts). cbn. rewrite <- !app_assoc. auto.
  - destruct (code_point (b :: s)) as [[c r']|] eqn:E; [|discriminate].
    rewrite byte_eqb in Q, B. apply Z.eqb_neq in Q, B. change (number x22) with 0x22 in Q. change (number x5c) with 0x5c in B.
    apply code_point_sound in E as [C E]. assert (Own : 32 <= c /\ c <> 0x22 /\ c <> 0x5c).
    { destruct (Z.ltb_spec c 0x80) as [L|]; [|lia]. unfold utf8 in E. apply Z.ltb_lt in L as L'. rewrite L' in E. injection E as -> _.
      rewrite number_byte_of in * by (unfold scalar in C; cases; lia). auto. }
    rewrite E. apply IH in H as (rest & parts & -> & F & ->).
    exists (c :: rest), (utf8 c :: parts). cbn. rewrite <- !app_assoc. repeat split; auto. constructor; auto. now apply as_itself.
Qed.
Lemma leading_digits_sound s : forall found l r, leading_digits found s = (l, r) ->
  exists rest, l = rev found ++ rest /\ s = rest ++ r /\ forallb is_digit rest = true.
Proof.
  induction s as [|b s IH]; intros found l r H; cbn in H; [|destruct (is_digit b) eqn:D].
  - injection H as <- <-. exists []. now rewrite rev_append_rev.
  - apply IH in H as (rest & -> & -> & F). exists (b :: rest). cbn. now rewrite D, <- app_assoc.
  - injection H as <- <-. exists []. now rewrite rev_append_rev.
Qed.
Lemma some_digits_sound s l r : some_digits s = Some (l, r) -> s = l ++ r /\ some_digit l.
Proof.
  unfold some_digits. destruct (leading_digits [] s) as [l' r'] eqn:E. apply leading_digits_sound in E as (rest & -> & -> & F). cbn [rev app].
  destruct rest; [discriminate|]. intros H. injection H as <- <-. split; auto. split; auto. easy.
Qed.
Lemma whole_sound s l r : whole s = Some (l, r) -> s = l ++ r /\ whole_digits l.
Proof.
  unfold whole. destruct (some_digits s) as [[l' r']|] eqn:E; [|discriminate]. apply some_digits_sound in E as [-> D].
  assert (Or : (l' = [x30] \/ hd x30 l' <> x30) \/ exists b t, l' = x30 :: b :: t).
  { destruct D as [N _]. destruct l' as [|b [|c t]]; [easy|destruct (Byte.byte_eq_dec b x30) as [->|]; auto|].
    destruct (Byte.byte_eq_dec b x30) as [->|]; eauto 6. }
  destruct Or as [Or|(b & t & ->)]; [|discriminate]. intros H.
  assert (H' : (if (length l' <=? most_digits)%nat then Some (l', r') else None) = Some (l, r)).
  { destruct Or as [->|N]; [exact H|]. destruct l' as [|b t]; [exact H|]. destruct b; try exact H. now contradict N. }
  destruct (Nat.leb_spec (length l') most_digits); [|discriminate]. injection H' as <- <-. repeat split; auto; apply D.
Qed.
Lemma fraction_sound s f r : fraction s = Some (f, r) -> match f with
  | None => s = r
  | Some l => s = x2e :: l ++ r /\ some_digit l
  end.
Proof.
  destruct s as [|b s]; [intros H; injection H as <- <-; reflexivity|]. destruct (Byte.byte_eq_dec b x2e) as [->|N].
  - cbn. destruct (some_digits s) as [[l r']|] eqn:E; [|discriminate]. apply some_digits_sound in E as [-> D]. intros H. injection H as <- <-. auto.
  - assert (E : fraction (b :: s) = Some (None, b :: s)) by (destruct b; try reflexivity; now contradict N).
    rewrite E. intros H. now injection H as <- <-.
Qed.
Lemma exponent_sound s e r : exponent s = Some (e, r) -> match e with
  | None => s = r
  | Some e => exists t, s = t ++ r /\ power_spelling e t /\ t <> []
  end.
Proof.
  destruct s as [|b s]; [intros H; injection H as <- <-; reflexivity|].
  assert (Or : In b ["e"; "E"]%byte \/ exponent (b :: s) = Some (None, b :: s)) by (destruct b; cbn; auto).
  destruct Or as [I|E]; [|rewrite E; intros H; now injection H as <- <-].
  assert (Signs : exists minus sg s', s = sg ++ s' /\ (sg = sign minus \/ sg = [x2b] /\ minus = false)
    /\ match s with x2d :: r => (true, r) | x2b :: r => (false, r) | _ => (false, s) end = (minus, s')).
  { destruct s as [|c s]; [exists false, [], []; auto|]. destruct (Byte.byte_eq_dec c x2d) as [->|N]; [exists true, [x2d], s; auto|].
    destruct (Byte.byte_eq_dec c x2b) as [->|N']; [exists false, [x2b], s; auto|]. exists false, [], (c :: s). repeat split; auto.
    destruct c; try reflexivity; [now contradict N'|now contradict N]. }
  destruct Signs as (minus & sg & s' & -> & Sg & M).
  replace (exponent (b :: sg ++ s')) with (let (negative, r) :=
      match sg ++ s' with x2d :: r => (true, r) | x2b :: r => (false, r) | _ => (false, sg ++ s') end in
    match some_digits r with
    | Some (l, r) => if (length l <=? 3)%nat then Some (Some (if negative : bool then - digits_value l else digits_value l), r) else None
    | None => None
    end) by (destruct I as [<-|[<-|[]]]; reflexivity).
  rewrite M. destruct (some_digits s') as [[l r']|] eqn:E; [|discriminate]. apply some_digits_sound in E as [-> D].
  destruct (Nat.leb_spec (length l) 3); [|discriminate]. intros H'. injection H' as <- <-. exists (b :: sg ++ l). cbn. rewrite <- app_assoc.
  repeat split; auto; [|easy]. apply (power b sg minus l); auto.
Qed.
Lemma number_sound s v r : parse_number s = Some (v, r) -> exists t, s = t ++ r /\ number_spelling v t.
Proof.
  intros H. unfold parse_number in H.
  assert (Signs : exists minus s', s = sign minus ++ s' /\ match s with x2d :: r => (true, r) | _ => (false, s) end = (minus, s')).
  { destruct s as [|c s]; [exists false, []; auto|]. destruct (Byte.byte_eq_dec c x2d) as [->|N]; [exists true, s; auto|].
    exists false, (c :: s). split; auto. destruct c; try reflexivity. now contradict N. }
  destruct Signs as (minus & s' & -> & M). rewrite M in H. clear M. cbn zeta in H.
  destruct (whole s') as [[l r1]|] eqn:W; [|discriminate]. apply whole_sound in W as [-> W].
  destruct (fraction r1) as [[f r2]|] eqn:F; [|discriminate]. apply fraction_sound in F.
  destruct (exponent r2) as [[e r3]|] eqn:E; [|discriminate]. apply exponent_sound in E.
  destruct f as [f|], e as [e|].
  - destruct F as [-> D], E as (t & -> & P & N). destruct ((length l <=? 30)%nat && (length f <=? 60)%nat) eqn:L; [|discriminate].
    apply andb_prop in L as [L1 L2]. apply Nat.leb_le in L1, L2. injection H as <- <-.
    exists (sign minus ++ l ++ (x2e :: f) ++ t). split; [cbn; now rewrite <- !app_assoc; cbn; rewrite <- !app_assoc|].
    apply (a_decimal minus l f (x2e :: f) e t); auto; [now constructor|easy].
  - destruct F as [-> D]. subst r2. destruct ((length l <=? 30)%nat && (length f <=? 60)%nat) eqn:L; [|discriminate].
    apply andb_prop in L as [L1 L2]. apply Nat.leb_le in L1, L2. injection H as <- <-.
    exists (sign minus ++ l ++ (x2e :: f) ++ []). split; [cbn; rewrite app_nil_r; now rewrite <- !app_assoc; cbn; rewrite <- ?app_assoc|].
    apply (a_decimal minus l f (x2e :: f) 0 []); auto; [now constructor|constructor|easy].
  - subst r1. destruct E as (t & -> & P & N). destruct ((length l <=? 30)%nat && _) eqn:L; [|discriminate].
    apply andb_prop in L as [L1 _]. apply Nat.leb_le in L1. injection H as <- <-.
    exists (sign minus ++ l ++ [] ++ t). split; [now rewrite <- !app_assoc|].
    apply (a_decimal minus l [] [] e t); auto. constructor.
  - subst r1 r2. injection H as <- <-. exists (sign minus ++ l). split; [now rewrite app_assoc|]. now constructor.
Qed.

Lemma without_sound word : forall s r, without word s = Some r -> s = word ++ r.
Proof.
  induction word as [|a word IH]; intros [|b s] r H; try discriminate; try (now injection H as <-). cbn in H.
  destruct (Byte.eqb a b) eqn:E; [|discriminate]. apply Byte.byte_dec_bl in E. subst. cbn. f_equal. now apply IH.
Qed.
Lemma word_sound n s v r : parse_word s = Some (v, r) -> exists t, s = t ++ r /\ spelling n v t.
Proof.
  unfold parse_word. destruct (without (write Null) s) eqn:A; [|destruct (without (write (Truth true)) s) eqn:B;
    [|destruct (without (write (Truth false)) s) eqn:C]]; intros H; try injection H as <- <-.
  - apply without_sound in A. eexists. split; [exact A|constructor].
  - apply without_sound in B. eexists. split; [exact B|constructor].
  - apply without_sound in C. eexists. split; [exact C|constructor].
  - apply number_sound in H as (t & -> & N). exists t. split; auto. now constructor.
Qed.

Section Values.
Variable fuel n : nat.
Variable element : list byte -> option (json * list byte).
Hypothesis Element : forall s v r, element s = Some (v, r) -> exists before t, spaces before /\ spelling n v t /\ s = before ++ t ++ r.
Definition member_spelling (m : list Z * json) (s : list byte) : Prop :=
  exists key v, spaced text_spelling (fst m) key /\ spaced (spelling n) (snd m) v /\ s = key ++ x3a :: v.
Lemma separator a b (r : list byte) : exists q, skip r = a :: q \/ skip r = b :: q \/ (hd a (skip r) <> a /\ hd b (skip r) <> b) \/ skip r = [].
Proof.
  destruct (skip r) as [|c q]; [exists []; auto|]. exists q. cbn.
  destruct (Byte.byte_eq_dec c a) as [->|]; auto. destruct (Byte.byte_eq_dec c b) as [->|]; auto 6.
Qed.
Lemma items_sound m : forall found s l r, items element m found s = Some (l, r) -> exists rest parts,
  l = rev found ++ rest /\ rest <> [] /\ Forall2 (spaced (spelling n)) rest parts /\ s = joined parts ++ x5d :: r.
Proof.
  induction m as [|m IH]; intros found s l r H; cbn [items] in H; [discriminate|]. destruct (element s) as [[v r']|] eqn:E; [|discriminate].
  apply Element in E as (before & t & B & V & ->). destruct (skip_sound r') as (after & A & R).
  destruct (separator x2c x5d r') as (q & [S|[S|[[N N']|S]]]); rewrite S in H || idtac; try discriminate.
  - apply IH in H as (rest & parts & -> & Some & F & ->). rewrite S in R. exists (v :: rest), ((before ++ t ++ after) :: parts). cbn [rev].
    rewrite <- app_assoc. repeat split; [easy|constructor; [exists before, t, after; auto|auto]|].
    destruct F; [easy|]. rewrite R, joined_cons. now rewrite <- !app_assoc.
  - injection H as <- <-. rewrite S in R. exists [v], [before ++ t ++ after]. rewrite rev_append_rev.
    repeat split; [easy|constructor; [exists before, t, after; auto|constructor]|]. cbn. rewrite R. now rewrite <- !app_assoc.
  - exfalso. destruct (skip r') as [|c q']; [discriminate|]. cbn in N, N'. destruct c; discriminate || congruence.
Qed.
Lemma member_sound s m r : member fuel element s = Some (m, r) ->
  exists before t, member_spelling m (before ++ t) /\ spaces before /\ s = before ++ t ++ r.
Proof.
  unfold member. intros H. destruct (skip_sound s) as (before & B & E). destruct (skip s) as [|b q]; [discriminate|].
  destruct (Byte.byte_eq_dec b x22) as [->|N]; [|destruct b; discriminate || congruence].
  destruct (chars fuel [] q) as [[key q']|] eqn:C; [|discriminate]. apply chars_sound in C as (key' & parts & -> & F & ->). cbn [rev app] in H.
  destruct (skip_sound q') as (after & A & E'). destruct (skip q') as [|b q'']; [discriminate|].
  destruct (Byte.byte_eq_dec b x3a) as [->|N]; [|destruct b; discriminate || congruence].
  destruct (element q'') as [[v r']|] eqn:V; [|discriminate]. apply Element in V as (before' & t & B' & V & ->). injection H as <- <-.
  exists before, ((x22 :: concat parts ++ [x22]) ++ after ++ x3a :: before' ++ t). repeat split; auto.
  - exists (before ++ (x22 :: concat parts ++ [x22]) ++ after), (before' ++ t ++ []). repeat split.
    + exists before, (x22 :: concat parts ++ [x22]), after. repeat split; auto.
    + exists before', t, []. repeat split; auto. constructor.
    + now rewrite app_nil_r, <- !app_assoc.
  - rewrite E, E'. do 4 (cbn [app]; rewrite <- ?app_assoc). reflexivity.
Qed.
Lemma members_sound m : forall found s l r, members fuel element m found s = Some (l, r) -> exists rest parts,
  l = rev found ++ rest /\ rest <> [] /\ Forall2 member_spelling rest parts /\ s = joined parts ++ x7d :: r.
Proof.
  induction m as [|m IH]; intros found s l r H; cbn [members] in H; [discriminate|].
  destruct (member fuel element s) as [[v r']|] eqn:E; [|discriminate].
  apply member_sound in E as (before & t & V & B & ->). destruct (skip_sound r') as (after & A & R).
  assert (V' : member_spelling v (before ++ t ++ after)).
  { destruct V as (key & x & K & (b & u & a & Sb & X & Sa & ->) & E). exists key, (b ++ u ++ a ++ after). repeat split; auto.
    - exists b, u, (a ++ after). repeat split; auto. apply Forall_app; auto.
    - rewrite app_assoc, E. now rewrite <- !app_assoc; cbn; rewrite <- !app_assoc. }
  destruct (separator x2c x7d r') as (q & [S|[S|[[N N']|S]]]); rewrite S in H || idtac; try discriminate.
  - apply IH in H as (rest & parts & -> & Some & F & ->). rewrite S in R. exists (v :: rest), ((before ++ t ++ after) :: parts). cbn [rev].
    rewrite <- app_assoc. repeat split; [easy|constructor; auto|]. destruct F; [easy|]. rewrite R, joined_cons. now rewrite <- !app_assoc.
  - injection H as <- <-. rewrite S in R. exists [v], [before ++ t ++ after]. rewrite rev_append_rev.
    repeat split; [easy|constructor; auto|]. cbn. rewrite R. now rewrite <- !app_assoc.
  - exfalso. destruct (skip r') as [|c q']; [discriminate|]. cbn in N, N'. destruct c; discriminate || congruence.
Qed.
End Values.
Lemma after_sound b s r : after b s = Some r -> exists before, spaces before /\ s = before ++ b :: r.
Proof.
  unfold after. destruct (skip_sound s) as (before & B & E). destruct (skip s) as [|c q]; [discriminate|].
  destruct (Byte.eqb c b) eqn:Q; [|discriminate]. apply Byte.byte_dec_bl in Q. intros H. injection H as <-. subst. now exists before.
Qed.
Lemma value_sound fuel n : forall s v r, value fuel n s = Some (v, r) ->
  exists before t, spaces before /\ spelling n v t /\ s = before ++ t ++ r.
Proof.
  induction n as [|n IH]; intros s v r H; destruct (skip_sound s) as (before & B & E).
  all: assert (Word : forall n q, s = before ++ q -> parse_word q = Some (v, r) ->
      exists before t, spaces before /\ spelling n v t /\ s = before ++ t ++ r)
    by (intros k q -> P; apply (word_sound k) in P as (t & -> & N); exists before, t; auto).
  all: assert (Texts : forall n q, s = before ++ x22 :: q ->
      match chars fuel [] q with Some (s, r) => Some (Text s, r) | None => None end = Some (v, r) ->
      exists before t, spaces before /\ spelling n v t /\ s = before ++ t ++ r)
    by (intros k q -> P; destruct (chars fuel [] q) as [[l r']|] eqn:C; [|discriminate]; apply chars_sound in C as (l' & parts & -> & F & ->);
        injection P as <- <-; exists before, (x22 :: concat parts ++ [x22]); repeat split; auto;
        [now apply a_text, quoted|cbn; now rewrite <- app_assoc]).
  all: cbn [value] in H; destruct (skip s) as [|b q]; [discriminate|].
  all: destruct b; try exact (Word _ _ E H); try exact (Texts _ _ E H); try discriminate H.
  - destruct (after x5d q) as [r'|] eqn:A.
    + apply after_sound in A as (sp & S & ->). injection H as <- <-. exists before, (x5b :: sp ++ [x5d]). repeat split; auto; [now constructor|].
      rewrite E. cbn. now rewrite <- app_assoc.
    + destruct (items (value fuel n) fuel [] q) as [[l r']|] eqn:I; [|discriminate].
      apply (items_sound n) in I as (l' & parts & -> & N & F & ->); auto.
      injection H as <- <-. exists before, (x5b :: joined parts ++ [x5d]). repeat split; auto; [now constructor|].
      rewrite E. cbn. now rewrite <- app_assoc.
  - destruct (after x7d q) as [r'|] eqn:A.
    + apply after_sound in A as (sp & S & ->). injection H as <- <-. exists before, (x7b :: sp ++ [x7d]). repeat split; auto; [now constructor|].
      rewrite E. cbn. now rewrite <- app_assoc.
    + destruct (members fuel (value fuel n) fuel [] q) as [[l r']|] eqn:I; [|discriminate].
      apply (members_sound fuel n) in I as (l' & parts & -> & N & F & ->); auto. cbn [rev app] in H.
      destruct (distinct (map fst l')) eqn:D; [|discriminate]. apply distinct_sound in D.
      injection H as <- <-. exists before, (x7b :: joined parts ++ [x7d]). repeat split; auto; [now apply some_members|].
      rewrite E. cbn. now rewrite <- app_assoc.
Qed.
(* What is parsed is JSON, of at most 32 levels. *)
Theorem parse_sound s v : parse s = Some v -> spaced (spelling deepest) v s.
Proof.
  unfold parse. destruct (value (S (length s)) deepest s) as [[w r]|] eqn:V; [|discriminate]. apply value_sound in V as (before & t & B & V & E).
  destruct (skip_sound r) as (after & A & R). destruct (skip r); [|discriminate]. intros H. injection H as <-. exists before, t, after.
  rewrite app_nil_r in R. subst. auto.
Qed.
