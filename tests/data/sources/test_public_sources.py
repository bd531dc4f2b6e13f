"""Each public data set in its own form: what its rows become, and what is said of a bad one."""

import base64
import json

import pytest
from PIL import Image

from align.data.sources import SOURCES, make_source
from align.data.sources.reader import read_source
from align.judging.matching import matches


def problems_of(reading):
    return [(p.line, p.field) for p in reading.problems]


# --- HaloQuest --------------------------------------------------------------------------------------------

HALOQUEST = """,image_name,url,image type,hallucination type,question,groundtruth responses,split
0,coffee.jpg,https://images.example/coffee.jpg,real,insufficient context,What shoes does the guest wear?,\
The guest's shoes are not visible; We can not see the guest,eval
1,coins.jpg,https://images.example/coins.jpg,real,false premises,Who holds the coins?,\
Nobody holds the coins;,train
2,chelsea.jpg,https://images.example/chelsea.jpg,real,visual challenge,"Ears, how many?",\
1 Two; Two ears are seen ; 3 Two,train
"""


def test_haloquest(read):
    reading = read("haloquest", HALOQUEST, "haloquest.csv")
    assert reading.problems == []
    shoes, coins, ears = reading.questions
    assert (shoes.category, shoes.split, shoes.answers) == ("Context_Dependent", "test", ())
    assert shoes.reason == "The guest's shoes are not visible"
    assert shoes.metadata["upstream"]["groundtruth responses"][1] == "We can not see the guest"
    assert (coins.category, coins.split, coins.reason) == (
        "False_Premises",
        "train",
        "Nobody holds the coins",
    )
    assert coins.metadata == {"upstream": {"image type": "real"}}
    assert (ears.category, ears.question) == ("Answerable", "Ears, how many?")
    assert ears.answers == ("Two", "Two ears are seen")
    assert {q.source for q in reading.questions} == {"haloquest"}
    assert {q.license for q in reading.questions} == {"CC BY 4.0"}
    again = read("haloquest", HALOQUEST.replace("\n0,", "\n7,"), "other.csv")
    assert [q.id for q in again.questions] == [q.id for q in reading.questions]


def test_haloquest_bad_rows(read):
    content = HALOQUEST + (
        "3,coffee.jpg,u,real,false promises,Which?,None is there,train\n"
        "4,gone.jpg,u,real,false premises,Which one?,None is there,train\n"
        "5,coffee.jpg,u,real,false premises,,;,dev\n"
        "6,../coffee.jpg,u,real,false premises,Who?,None,train\n"
    )
    reading = read("haloquest", content, "haloquest.csv")
    assert len(reading.questions) == 3
    found = [(p.line, p.field, p.message) for p in reading.problems]
    assert [entry[:2] for entry in found] == [
        (5, "hallucination type"),
        (6, "image_name"),
        (7, "question"),
        (7, "split"),
        (7, "groundtruth responses"),
        (8, "image_name"),
    ]
    assert "did you mean false premises?" in found[0][2]
    assert "missing image: 'gone.jpg'" in found[1][2]
    assert "leaves the data root" in found[5][2]


def test_several_files_are_one_data_set_and_problems_name_theirs(tmp_path, images):
    first, second = tmp_path / "train.csv", tmp_path / "eval.csv"
    first.write_text(HALOQUEST)
    second.write_text(HALOQUEST + "3,coffee.jpg,u,real,odd,Which?,None,train\n")
    reading = read_source(make_source("haloquest", {}), [first, second], images)
    assert reading.n_rows == 7
    assert len(reading.questions) == 3
    assert {p.file for p in reading.problems} == {str(second)}
    assert (
        f"{first}:2 asks" in reading.problems[0].message
        or f"{first}:2 has it too" in reading.problems[0].message
    )


# --- RLHF-V -----------------------------------------------------------------------------------------------


def rlhf_v(**changes):
    text = {"question": "What is on the saucer?", "chosen": "A spoon.", "rejected": "A cookie."}
    return {
        "ds_name": "llava",
        "image_path": "coffee.jpg",
        "text": json.dumps(text | changes),
        "origin_dataset": "LCS-558K",
        "origin_split": "{}",
        "idx": 0,
    }


def test_rlhf_v_gives_pairs_to_retain(read):
    other = rlhf_v(question="<image>\nAnd beside it?")
    reading = read("rlhf_v", [rlhf_v(), other | {"text": json.loads(other["text"])}])
    assert reading.problems == []
    assert reading.questions == []
    one, two = reading.pairs
    assert (one.prompt, one.chosen, one.rejected) == ("What is on the saucer?", "A spoon.", "A cookie.")
    assert (one.kind, one.images, one.category) == ("retain", ("coffee.jpg",), None)
    assert "llava" in one.rejected_source
    assert two.prompt == "And beside it?"
    assert "CC BY-NC 4.0" in (SOURCES["rlhf_v"].warning or "")


def test_rlhf_v_bad_rows(read):
    rows = [
        rlhf_v(),
        rlhf_v() | {"text": '{"question": '},
        rlhf_v() | {"text": "[]"},
        rlhf_v(rejected=" A spoon. "),
        rlhf_v(chosen=""),
        rlhf_v(),
        rlhf_v(question="Else?") | {"image_path": "gone.jpg"},
    ]
    reading = read("rlhf_v", rows)
    assert len(reading.pairs) == 1
    assert problems_of(reading) == [
        (2, "text"),
        (3, "text"),
        (4, "text"),
        (5, "text.chosen"),
        (6, "text"),
        (7, "image"),
    ]
    assert "duplicate: line 1 is the same pair" in reading.problems[4].message


# --- MM-UPD -----------------------------------------------------------------------------------------------


def upd_rows(images):
    def picture(name):
        return base64.b64encode((images / name).read_bytes()).decode()

    options = {"A": "a spoon", "B": "a fork", "C": "nan", "D": "", "E": ""}
    common = {
        "hint": "nan",
        "category": "object",
        "image": picture("coffee.jpg"),
        "question": "What lies there?",
    }
    return [
        {"index": 4, **common, **options, "answer": "A", "masked_answer": "", "type": "standard"},
        {"index": 4, **common, **options, "A": "a cat", "answer": "F", "masked_answer": "a spoon",
         "type": "upd"},
        {"index": 5, **common, **options, "A": "six", "hint": "Look.", "answer": "F", "masked_answer": "",
         "type": "upd", "image": picture("coins.jpg")},
    ]  # fmt: skip


def test_mm_upd_rows_are_twins_with_their_options(read, images, tmp_path):
    folder = tmp_path / "written"
    reading = read("mm_upd", upd_rows(images), "mmaad_base.tsv", folder=folder)
    assert reading.problems == []
    standard, absent, alone = reading.questions
    assert standard.question == "What lies there?\nA. a spoon\nB. a fork"
    assert (standard.category, standard.answers) == ("Answerable", ("a spoon", "A. a spoon"))
    assert (absent.category, absent.part) == ("False_Premises", "aad")
    assert absent.reason == "None of the options is right: the right one, 'a spoon', is not among them."
    assert (standard.twin, absent.twin, alone.twin) == (absent.id, standard.id, None)
    assert alone.question.startswith("Look.\nWhat lies there?\nA. six")
    assert {q.split for q in reading.questions} == {"test"}
    assert standard.image == absent.image != alone.image
    assert sorted(path.name for path in folder.iterdir()) == sorted({standard.image, alone.image})
    assert (folder / standard.image).read_bytes() == (images / "coffee.jpg").read_bytes()
    assert any("2 picture(s)" in note for note in reading.notes)


@pytest.mark.parametrize(
    ("kind", "says"), [("iasd", "do not answer this question"), ("ivqd", "does not fit")]
)
def test_mm_upd_kinds_are_named_by_the_option(read, images, tmp_path, kind, says):
    reading = read("mm_upd", upd_rows(images), "base.tsv", folder=tmp_path / "w", upd=kind)
    assert says in (reading.questions[1].reason or "")
    assert {q.part for q in reading.questions} == {kind}
    with pytest.raises(ValueError, match=r"set source\.upd"):
        read("mm_upd", upd_rows(images), "base.tsv")
    with pytest.raises(ValueError, match="must be one of aad"):
        read("mm_upd", upd_rows(images), "base.tsv", upd="abc")


def test_mm_upd_bad_rows(read, images, tmp_path):
    good = upd_rows(images)[0]
    rows = [
        good | {"index": 1, "image": "!" * 2000},
        good | {"index": 2, "image": base64.b64encode(b"no picture" * 500).decode()},
        good | {"index": 3, "answer": "E"},
        good | {"index": 4, "B": ""},
        good | {"index": "x"},
        good | {"index": 6, "type": "updd"},
        good | {"index": 7, "image": base64.b64encode((images / "coffee.jpg").read_bytes()[:-3000]).decode()},
        good,
    ]
    reading = read("mm_upd", rows, "mmaad_base.tsv", folder=tmp_path / "w")
    assert len(reading.questions) == 1
    assert problems_of(reading) == [
        (2, "image"), (3, "image"), (4, "answer"), (5, "A"), (6, "index"), (7, "type"), (8, "image")
    ]  # fmt: skip
    says = [p.message for p in reading.problems]
    assert "not base64" in says[0]
    assert "no picture in 5,000 bytes" in says[1]
    assert "did you mean upd?" in says[5]
    assert "corrupt image" in says[6]


# --- POPE -------------------------------------------------------------------------------------------------


def test_pope_official_file(read):
    row = {"question_id": 1, "image": "coffee.jpg", "text": "Is there a spoon in the image?", "label": "yes"}
    rows = [row, row | {"question_id": 2, "text": "Is there a dog in the image?", "label": "no"}]
    reading = read("pope", rows, "coco_pope_popular.json")
    assert reading.problems == []
    yes, no = reading.questions
    assert (yes.id, yes.part, yes.split) == ("pope-popular-1", "popular", "test")
    assert (yes.category, yes.answers, no.category, no.answers) == (
        "Answerable", ("yes",), "Answerable", ("no",)
    )  # fmt: skip
    assert matches("No, there is none.", no.answers)


def test_pope_the_same_question_in_two_categories_is_two(read):
    row = {"question_id": "1", "image": "coffee.jpg", "question": "Is there a spoon?", "answer": "Yes"}
    rows = [row | {"category": part} for part in ("random", "adversarial")]
    reading = read(
        "pope", [*rows, rows[1] | {"question_id": "9"}, row | {"answer": "maybe", "category": "odd"}]
    )
    assert [q.part for q in reading.questions] == ["random", "adversarial"]
    assert problems_of(reading) == [(3, "question"), (4, "answer"), (4, "category")]


# --- VQAv2 ------------------------------------------------------------------------------------------------


def annotation(number, *answers):
    return {"question_id": number, "answers": [{"answer": a, "answer_id": n} for n, a in enumerate(answers)]}


def test_vqav2_questions_and_annotations(read, images, tmp_path):
    for number in (7, 8):
        (images / f"COCO_val2014_{number:012d}.jpg").write_bytes((images / "coffee.jpg").read_bytes())
    questions = [
        {"image_id": 7, "question": "What is it?", "question_id": 70},
        {"image_id": 7, "question": "Which color?", "question_id": 71},
        {"image_id": 8, "question": "Is it hot?", "question_id": 80},
        {"image_id": 9, "question": "Is it cold?", "question_id": 90},
        {"image_id": 8, "question": "Whose is it?", "question_id": 81},
    ]
    annotations = [
        annotation(70, *["coffee"] * 6, *["cup"] * 3, "tea"),
        annotation(71, "red", "red", "brown", "brown", "a", "b", "c"),
        annotation(80, *["yes"] * 10),
        annotation(90, *["no"] * 10),
        annotation(80, "again"),
        {"question_id": 99},
    ]
    (tmp_path / "a.json").write_text(json.dumps({"info": {}, "annotations": annotations}))
    content = json.dumps({"license": "CC BY 4.0", "questions": questions, "data_subtype": "val2014"})
    reading = read("vqav2", content, "questions.json", annotations=str(tmp_path / "a.json"))
    assert {q.id: q.answers for q in reading.questions} == {
        "vqav2-70": ("coffee", "cup"),
        "vqav2-71": ("red", "brown"),
        "vqav2-80": ("yes",),
    }
    assert reading.questions[0].image == "COCO_val2014_000000000007.jpg"
    says = [p.message for p in reading.problems]
    assert ["second annotation of question 80" in says[0], "no answers" in says[1]] == [True, True]
    assert "missing image" in says[2]
    assert "question 81 has no annotation" in says[3]
    without = read("vqav2", content, "questions.json")
    assert "set source.annotations" in without.problems[0].message
    with pytest.raises(ValueError, match="image_pattern needs"):
        read("vqav2", content, "questions.json", image_pattern="x_{id}.jpg")


# --- HumbleBench ------------------------------------------------------------------------------------------

HUMBLE = {
    "label": "E",
    "question": "What lies on the saucer?\nA. A cookie\nB.A fork\nC. A cat\nD. A coin\nE.None of above",
    "type": "Object",
    "file_name": "coffee.jpg",
    "question_id": 1,
}


def test_humblebench_without_option_e(read):
    rows = [HUMBLE, HUMBLE | {"label": "B", "question_id": 2, "question": HUMBLE["question"] + " "}]
    rows[1]["question"] = rows[1]["question"].replace("saucer", "table")
    reading = read("humblebench", rows)
    assert reading.problems == []
    none, fork = reading.questions
    assert none.question == "What lies on the saucer?\nA. A cookie\nB. A fork\nC. A cat\nD. A coin"
    assert (none.category, none.part, none.reason) == (
        "False_Premises", "Object", "None of the options is right."
    )  # fmt: skip
    assert (fork.category, fork.answers) == ("Answerable", ("A fork", "B. A fork"))


def test_humblebench_with_option_e(read):
    (question,) = read("humblebench", [HUMBLE], option_e="keep").questions
    assert question.question.endswith("E. None of above")
    assert (question.category, question.answers[1]) == ("Answerable", "E. None of above")
    with pytest.raises(ValueError, match="remove or keep"):
        read("humblebench", [HUMBLE], option_e="drop")


def test_humblebench_bad_rows(read):
    rows = [
        HUMBLE | {"question": "What lies on the saucer?"},
        HUMBLE | {"question": "What?\nA. One\nE. Two"},
        HUMBLE | {"question": "What?\nA. One\nE. None of the above", "label": "C"},
        HUMBLE | {"label": "F"},
    ]
    reading = read("humblebench", rows)
    assert reading.questions == []
    assert problems_of(reading) == [(1, "question"), (2, "question"), (3, "label"), (4, "label")]


# --- UNK-VQA ----------------------------------------------------------------------------------------------


def test_unk_vqa(read, images):
    (images / "COCO_val2014_000000000007.jpg").write_bytes((images / "coffee.jpg").read_bytes())
    rows = [
        {"question_id": 1, "question": "Whose cookie is it?", "image": "coffee.jpg",
         "answerability": {"binary": 0}, "alter_type": "word_replacement"},
        {"question_id": 2, "question": "What is hidden?", "image_id": 7,
         "answerability": {"binary": 0}, "alter_type": "Object Masking"},
        {"question_id": 3, "question": "What is it?", "image": "coffee.jpg",
         "answerability": {"binary": 1}, "answers": [{"answer": "coffee"}, {"answer": "coffee"}]},
        {"question_id": 4, "question": "Which?", "image": "coffee.jpg",
         "answerability": {"binary": 0}, "alter_type": "repainting"},
        {"question_id": 5, "question": "Why?", "image": "coffee.jpg", "answerability": {"binary": 2}},
        {"question_id": 6, "question": "How?", "image": "coffee.jpg", "answerability": {"binary": 1}},
    ]  # fmt: skip
    reading = read("unk_vqa", json.dumps({"info": 1, "annotation": rows}), "unk.json")
    assert [(q.id, q.category) for q in reading.questions] == [
        ("unk-vqa-1", "False_Premises"),
        ("unk-vqa-2", "Context_Dependent"),
        ("unk-vqa-3", "Answerable"),
    ]
    assert reading.questions[2].answers == ("coffee",)
    assert [p.field for p in reading.problems] == ["alter_type", "answerability.binary", "answers"]
    changed = {"repainting": "Vague_Description", "word replacement": "False_Premises"}
    again = read("unk_vqa", rows, categories=changed)
    assert [q.category for q in again.questions if q.id == "unk-vqa-4"] == ["Vague_Description"]
    with pytest.raises(ValueError, match="expected one of Context_Dependent"):
        read("unk_vqa", rows, categories={"repainting": "Vague"})


# --- All --------------------------------------------------------------------------------------------------


def test_unknown_readers_and_options_are_named():
    with pytest.raises(ValueError, match="unknown reader 'halo'"):
        make_source("halo", {})
    with pytest.raises(ValueError, match=r"no option 'optione' \(did you mean option_e\?\)"):
        make_source("humblebench", {"optione": "keep"})


def test_pictures_are_stored_once_and_whole(read, images, tmp_path):
    rows = [row | {"index": n, "question": f"What is {n}?"} for n, row in enumerate(upd_rows(images)[:2] * 3)]
    folder = tmp_path / "w"
    names = {q.image for q in read("mm_upd", rows, "mmaad.tsv", folder=folder).questions}
    assert {path.name for path in folder.iterdir()} == names
    assert len(names) == 1
    (folder / names.pop()).write_bytes(b"cut off")  # by a run that was killed, without our rename
    assert len(read("mm_upd", rows, "mmaad.tsv", folder=folder).questions) == 6


def test_a_picture_in_a_row_may_be_no_bomb(read, tmp_path):
    row = {"text": {"question": "Q?", "chosen": "a", "rejected": "b"}}
    path = tmp_path / "wide.png"
    Image.new("1", (3000, 3000)).save(path)
    rows = [row | {"image": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()}]
    reading = read("rlhf_v", rows, folder=tmp_path / "w", checks={"max_pixels": 3000 * 3000 - 1})
    (problem,) = reading.problems
    assert "too large to decode safely: 3000 x 3000" in problem.message
