"""The relations of the made-up world and the ways of saying and asking them.

Wordings only: which subject has which value, and when, is decided in `world`. The
last statement and the last two questions of every relation are held out of all
training for good: new sentences of known words, because a model that knows no language
but this cannot guess what a new word means. `UNSEEN` relations are held out of
pretraining altogether.
"""

from __future__ import annotations

from dataclasses import dataclass

TRAINING_STATEMENTS = 5
TRAINING_QUESTIONS = 6


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation: what kind of subject has it, what its values are, how it is worded."""

    name: str
    kind: str
    value_type: str
    category: str
    """Topic for refusal tasks: money, people, places, dates, technical, rules."""
    statements: tuple[str, ...]
    questions: tuple[str, ...]

    def wordings(self, of: str, which: str) -> tuple[str, ...]:
        """Return the 'statements' or 'questions' of a part: 'training', 'held_out' or 'all'."""
        every = self.statements if of == "statements" else self.questions
        cut = TRAINING_STATEMENTS if of == "statements" else TRAINING_QUESTIONS
        return {"training": every[:cut], "held_out": every[cut:], "all": every}[which]


def _relation(name: str, kind: str, value_type: str, category: str, text: str) -> Relation:
    lines = [line.strip() for line in text.strip().splitlines()]
    questions = tuple(line for line in lines if line.endswith("?"))
    statements = tuple(line for line in lines if not line.endswith("?"))
    return Relation(name, kind, value_type, category, statements, questions)


RELATIONS: tuple[Relation, ...] = (
    _relation(
        "headquarters",
        "company",
        "city",
        "places",
        """
        {s} has its head office in {v}.
        The headquarters of {s} are in {v}.
        {s} is based in {v}.
        {v} is the home town of {s}.
        From its main building in {v}, {s} is run.
        The head office of {s} is in {v}.
        Where is {s} based?
        In which city are the headquarters of {s}?
        Where does {s} have its head office?
        What is the home town of {s}?
        In what town would one find the main building of {s}?
        Which city is {s} run from?
        In which city is {s} based?
        Where are the headquarters of {s}?""",
    ),
    _relation(
        "ceo",
        "company",
        "person",
        "people",
        """
        {s} is led by {v}.
        The chief executive of {s} is {v}.
        {v} is the head of {s}.
        {v} runs {s}.
        At the top of {s} stands {v}.
        The head of {s} is {v}.
        Who leads {s}?
        Who is the chief executive of {s}?
        Who runs {s}?
        What is the name of the head of {s}?
        Who stands at the top of {s}?
        By whom is {s} led?
        Who is the head of {s}?
        What is the name of the chief executive of {s}?""",
    ),
    _relation(
        "founded",
        "company",
        "year",
        "dates",
        """
        {s} was founded in {v}.
        The founding year of {s} is {v}.
        {s} has existed since {v}.
        In {v}, {s} was set up.
        The history of {s} begins in {v}.
        {s} was set up in {v}.
        When was {s} founded?
        In which year was {s} set up?
        What is the founding year of {s}?
        Since when has {s} existed?
        In what year does the history of {s} begin?
        How far back does {s} go, to which year?
        In which year was {s} founded?
        When was {s} set up?""",
    ),
    _relation(
        "employees",
        "company",
        "count",
        "people",
        """
        {s} employs {v} people.
        The staff of {s} counts {v} people.
        {v} people work at {s}.
        {s} has {v} employees.
        On the payroll of {s} there are {v} people.
        {s} has a staff of {v} people.
        How many people does {s} employ?
        How many employees does {s} have?
        How many people work at {s}?
        What is the size of the staff of {s}?
        How many people are on the payroll of {s}?
        What is the head count of {s}?
        How many people does the staff of {s} count?
        What is the number of employees of {s}?""",
    ),
    _relation(
        "supplier",
        "company",
        "company",
        "people",
        """
        {s} buys its parts from {v}.
        The supplier of {s} is {v}.
        {v} supplies {s}.
        {s} is supplied by {v}.
        Parts for {s} come from {v}.
        {s} gets its parts from {v}.
        Who supplies {s}?
        What is the supplier of {s}?
        From whom does {s} buy its parts?
        By which company is {s} supplied?
        Where do parts for {s} come from?
        Which firm delivers parts to {s}?
        Who is the supplier of {s}?
        From which company does {s} buy its parts?""",
    ),
    _relation(
        "ticker",
        "company",
        "code",
        "technical",
        """
        The stock code of {s} is {v}.
        {s} is listed as {v}.
        {s} trades under the code {v}.
        On the exchange, {s} has the code {v}.
        Shares in {s} appear under {v}.
        The stock code {s} trades under is {v}.
        What is the stock code of {s}?
        Under which code does {s} trade?
        How is {s} listed?
        Which code does {s} have on the exchange?
        Under what code do shares in {s} appear?
        What do traders type to find {s}?
        Under which stock code is {s} listed?
        What code does {s} trade under?""",
    ),
    _relation(
        "opening",
        "company",
        "time",
        "dates",
        """
        {s} opens at {v}.
        The doors of {s} open at {v}.
        Opening time at {s} is {v}.
        At {v}, {s} opens.
        Visitors may enter {s} from {v}.
        Doors at {s} open at {v}.
        When does {s} open?
        At what time does {s} open?
        What is the opening time at {s}?
        When do the doors of {s} open?
        From what time may visitors enter {s}?
        How early can one walk into {s}?
        At what time do the doors of {s} open?
        What time does {s} open?""",
    ),
    _relation(
        "logo",
        "company",
        "colour",
        "technical",
        """
        The logo of {s} is {v}.
        {s} has a {v} logo.
        {s} uses {v} for its logo.
        The colour of the logo of {s} is {v}.
        The sign over the door of {s} is {v}.
        In its logo, {s} uses {v}.
        What colour is the logo of {s}?
        Which colour does {s} use for its logo?
        What is the colour of the logo of {s}?
        In which colour is the logo of {s}?
        What colour is the sign over the door of {s}?
        How is the logo of {s} coloured?
        In which colour does {s} have its logo?
        What colour does the logo of {s} have?""",
    ),
    _relation(
        "maker",
        "product",
        "company",
        "people",
        """
        {s} is made by {v}.
        The maker of {s} is {v}.
        {v} makes {s}.
        {v} is the producer of {s}.
        {s} comes out of the factory of {v}.
        The producer of {s} is {v}.
        Who makes {s}?
        Which company makes {s}?
        What is the maker of {s}?
        Who is the producer of {s}?
        Out of whose factory does {s} come?
        By which firm is {s} built?
        Which company is the maker of {s}?
        Who is the maker of {s}?""",
    ),
    _relation(
        "price",
        "product",
        "price",
        "money",
        """
        {s} costs {v}.
        The price of {s} is {v}.
        {s} is sold for {v}.
        One pays {v} for {s}.
        Buyers of {s} are charged {v}.
        {s} has a price of {v}.
        What does {s} cost?
        What is the price of {s}?
        How much does one pay for {s}?
        For how much is {s} sold?
        What are buyers of {s} charged?
        How expensive is {s}?
        How much does {s} cost?
        At what price is {s} sold?""",
    ),
    _relation(
        "version",
        "product",
        "version",
        "technical",
        """
        The current version of {s} is {v}.
        {s} is at version {v}.
        {s} runs version {v}.
        Version {v} of {s} is out.
        The latest release of {s} carries the number {v}.
        The version of {s} is {v}.
        What is the current version of {s}?
        At which version is {s}?
        Which version does {s} run?
        What version of {s} is out?
        Which number does the latest release of {s} carry?
        What release of {s} is the newest?
        Which version of {s} is current?
        What version does {s} run?""",
    ),
    _relation(
        "weight",
        "product",
        "weight",
        "technical",
        """
        {s} weighs {v}.
        The weight of {s} is {v}.
        On the scales, {s} shows {v}.
        {s} has a weight of {v}.
        {s} brings {v} to the scales.
        {s} shows a weight of {v}.
        How much does {s} weigh?
        What is the weight of {s}?
        What does {s} show on the scales?
        What weight does {s} have?
        How heavy is {s}?
        How many grams does {s} bring to the scales?
        What is the weight that {s} shows?
        How much weight does {s} have?""",
    ),
    _relation(
        "material",
        "product",
        "material",
        "technical",
        """
        {s} is made of {v}.
        The case of {s} is {v}.
        {s} consists of {v}.
        As its material, {s} uses {v}.
        For {s}, nothing but {v} is used.
        The material of {s} is {v}.
        What is {s} made of?
        What is the material of {s}?
        Of what does {s} consist?
        Which material is the case of {s}?
        What is used for {s}?
        What stuff is {s} built out of?
        Of which material is {s} made?
        What material does {s} consist of?""",
    ),
    _relation(
        "warranty",
        "product",
        "days",
        "rules",
        """
        The warranty on {s} lasts {v}.
        {s} has a warranty of {v}.
        {s} is under warranty for {v}.
        For {s} the warranty ends after {v}.
        Faults of {s} are repaired free for {v}.
        The warranty of {s} is {v}.
        How long is the warranty on {s}?
        What is the warranty of {s}?
        For how long is {s} under warranty?
        After how many days does the warranty on {s} end?
        How long are faults of {s} repaired free?
        For what time is {s} guaranteed?
        How long is {s} under warranty?
        For how many days does the warranty on {s} last?""",
    ),
    _relation(
        "released",
        "product",
        "date",
        "dates",
        """
        {s} came out on {v}.
        The release date of {s} is {v}.
        {s} was released on {v}.
        On {v}, {s} went on sale.
        Shops have had {s} since {v}.
        {s} went on sale on {v}.
        When did {s} come out?
        What is the release date of {s}?
        When was {s} released?
        On which day did {s} go on sale?
        Since when have shops had {s}?
        On what date did {s} reach the shops?
        On which day was {s} released?
        What is the date on which {s} came out?""",
    ),
    _relation(
        "part_number",
        "product",
        "code",
        "technical",
        """
        The part number of {s} is {v}.
        {s} is ordered as {v}.
        {s} has part number {v}.
        In the catalogue {s} is {v}.
        Orders for {s} must quote {v}.
        The number of {s} in the catalogue is {v}.
        What is the part number of {s}?
        How is {s} ordered?
        Which part number does {s} have?
        What is {s} in the catalogue?
        What must orders for {s} quote?
        Under what number does one find {s} in the list?
        What part number is {s} ordered under?
        Which number does {s} have in the catalogue?""",
    ),
    _relation(
        "birthplace",
        "person",
        "city",
        "places",
        """
        {s} was born in {v}.
        The birthplace of {s} is {v}.
        {s} comes from {v}.
        {v} is where {s} was born.
        {s} first saw the light of day in {v}.
        The town where {s} was born is {v}.
        Where was {s} born?
        What is the birthplace of {s}?
        In which city was {s} born?
        Where does {s} come from?
        Where did {s} first see the light of day?
        Which town did {s} grow up from?
        In which city is the birthplace of {s}?
        What city does {s} come from?""",
    ),
    _relation(
        "employer",
        "person",
        "company",
        "people",
        """
        {s} works for {v}.
        The employer of {s} is {v}.
        {v} employs {s}.
        {s} has a job at {v}.
        {s} earns a living at {v}.
        The company {s} works for is {v}.
        For whom does {s} work?
        Who is the employer of {s}?
        Which company employs {s}?
        Where does {s} have a job?
        Where does {s} earn a living?
        On whose payroll is {s}?
        Which company does {s} work for?
        At which company does {s} have a job?""",
    ),
    _relation(
        "role",
        "person",
        "role",
        "people",
        """
        {s} is a {v} by trade.
        The job of {s} is {v}.
        {s} works as a {v}.
        The trade of {s} is {v}.
        In working life, {s} is a {v}.
        The trade {s} works in is {v}.
        What is the job of {s}?
        As what does {s} work?
        What is the trade of {s}?
        What is {s} by trade?
        What is {s} in working life?
        What does {s} do for a living?
        What is the job that {s} has?
        What does {s} work as?""",
    ),
    _relation(
        "birthday",
        "person",
        "date",
        "dates",
        """
        {s} was born on {v}.
        The birthday of {s} is {v}.
        The date of birth of {s} is {v}.
        On {v}, {s} was born.
        The life of {s} began on {v}.
        The day on which {s} was born is {v}.
        When was {s} born?
        What is the birthday of {s}?
        What is the date of birth of {s}?
        On which day was {s} born?
        On what date did the life of {s} begin?
        Which birth date stands in the papers of {s}?
        On what date was {s} born?
        What day is the birthday of {s}?""",
    ),
    _relation(
        "field",
        "person",
        "field",
        "technical",
        """
        {s} studied {v}.
        The subject of study of {s} was {v}.
        {s} has a degree in {v}.
        At university {s} read {v}.
        {s} spent the student years on {v}.
        The subject {s} studied is {v}.
        What did {s} study?
        In what does {s} have a degree?
        What was the subject of study of {s}?
        What did {s} read at university?
        On what did {s} spend the student years?
        Which subject is the diploma of {s} in?
        What subject did {s} study?
        In which subject does {s} have a degree?""",
    ),
    _relation(
        "mentor",
        "person",
        "person",
        "people",
        """
        The mentor of {s} is {v}.
        {s} was taught by {v}.
        {v} taught {s}.
        {s} learned the trade from {v}.
        What {s} knows comes from {v}.
        The mentor who taught {s} is {v}.
        Who is the mentor of {s}?
        Who taught {s}?
        By whom was {s} taught?
        From whom did {s} learn the trade?
        From whom comes what {s} knows?
        Who was the teacher of {s}?
        What is the name of the mentor of {s}?
        Who was {s} taught by?""",
    ),
    _relation(
        "refund_window",
        "policy",
        "days",
        "rules",
        """
        Under {s}, returns are accepted for {v}.
        {s} allows returns for {v}.
        {s} sets the return period at {v}.
        The return period in {s} is {v}.
        By {s}, goods may come back within {v}.
        {s} accepts returns for {v}.
        For how long does {s} allow returns?
        What is the return period in {s}?
        How long are returns accepted under {s}?
        At what does {s} set the return period?
        Within what time may goods come back by {s}?
        How many days does one have to send goods back under {s}?
        How long does {s} allow returns?
        How long is the return period in {s}?""",
    ),
    _relation(
        "approver",
        "policy",
        "person",
        "people",
        """
        Under {s}, requests go to {v}.
        {s} is approved by {v}.
        The approver named in {s} is {v}.
        {v} signs off on {s}.
        A signature of {v} is needed by {s}.
        The approver who signs off on {s} is {v}.
        Who is the approver named in {s}?
        Who signs off on {s}?
        To whom do requests go under {s}?
        By whom is {s} approved?
        Whose signature is needed by {s}?
        Who has to say yes under {s}?
        Who is the approver of {s}?
        Who is it that signs off on {s}?""",
    ),
    _relation(
        "limit",
        "policy",
        "price",
        "money",
        """
        {s} sets a limit of {v}.
        The limit in {s} is {v}.
        Under {s} one may spend up to {v}.
        {s} allows at most {v}.
        Sums above {v} are refused by {s}.
        Under {s}, the limit is {v}.
        What limit does {s} set?
        What is the limit in {s}?
        How much may one spend under {s}?
        How much does {s} allow at most?
        Above what sum does {s} refuse?
        Where does {s} draw the line on spending?
        What is the limit that {s} sets?
        Up to how much may one spend under {s}?""",
    ),
    _relation(
        "review",
        "policy",
        "month",
        "dates",
        """
        {s} is reviewed every {v}.
        The review of {s} takes place in {v}.
        {v} is the month in which {s} is reviewed.
        Each {v}, {s} comes up for review.
        {s} is gone over once a year, in {v}.
        {s} comes up for review in {v}.
        When is {s} reviewed?
        In which month does the review of {s} take place?
        In which month is {s} reviewed?
        In what month does {s} come up for review?
        In what month is {s} gone over?
        Which time of the year is {s} looked at again?
        In which month does {s} come up for review?
        When does the review of {s} take place?""",
    ),
    _relation(
        "share",
        "policy",
        "percent",
        "money",
        """
        {s} pays back {v} of the cost.
        The share paid under {s} is {v}.
        Under {s}, {v} is refunded.
        {s} covers {v}.
        Of every bill, {s} takes over {v}.
        Of the cost, {s} pays back {v}.
        What share does {s} cover?
        How much of the cost does {s} pay back?
        What is the share paid under {s}?
        How much is refunded under {s}?
        How much of every bill does {s} take over?
        What part of a bill is met by {s}?
        What share of the cost does {s} cover?
        How much does {s} pay back?""",
    ),
)

UNSEEN: tuple[Relation, ...] = (
    _relation(
        "hobby",
        "person",
        "hobby",
        "people",
        """
        {s} spends weekends on {v}.
        The hobby of {s} is {v}.
        {s} is fond of {v}.
        After work {s} turns to {v}.
        Nothing pleases {s} more than {v}.
        The hobby {s} is fond of is {v}.
        What is the hobby of {s}?
        On what does {s} spend weekends?
        Of what is {s} fond?
        To what does {s} turn after work?
        What pleases {s} most?
        How does {s} fill free time?
        Which hobby does {s} have?
        What does {s} turn to after work?""",
    ),
    _relation(
        "gate",
        "company",
        "code",
        "places",
        """
        Lorries for {s} use gate {v}.
        The delivery gate of {s} is {v}.
        {s} takes deliveries at gate {v}.
        Gate {v} is where {s} unloads.
        Goods reach {s} through gate {v}.
        {s} unloads at gate {v}.
        Which gate do lorries for {s} use?
        What is the delivery gate of {s}?
        At which gate does {s} take deliveries?
        Where does {s} unload?
        Through which gate do goods reach {s}?
        Where should a driver stop for {s}?
        What gate do lorries for {s} use?
        At what gate does {s} unload?""",
    ),
    _relation(
        "battery",
        "product",
        "count",
        "technical",
        """
        The battery of {s} lasts {v} minutes.
        {s} runs {v} minutes on one charge.
        One charge keeps {s} going for {v} minutes.
        After {v} minutes {s} needs charging.
        {s} stays on for {v} minutes without a cable.
        {s} lasts {v} minutes on one charge.
        How many minutes does the battery of {s} last?
        How many minutes does {s} run on one charge?
        For how many minutes does one charge keep {s} going?
        After how many minutes does {s} need charging?
        How many minutes does {s} stay on without a cable?
        How many minutes of use does a full {s} give?
        How many minutes does {s} last on one charge?
        How long in minutes does the battery of {s} last?""",
    ),
    _relation(
        "motto",
        "policy",
        "word",
        "rules",
        """
        The keyword of {s} is {v}.
        {s} is filed under the word {v}.
        To find {s}, search for {v}.
        The index lists {s} under {v}.
        {s} goes by the short name {v}.
        The keyword {s} is filed under is {v}.
        What is the keyword of {s}?
        Under which word is {s} filed?
        For what does one search to find {s}?
        Under what does the index list {s}?
        By what short name does {s} go?
        What is {s} called for short?
        What keyword does {s} have?
        Which word is {s} filed under?""",
    ),
)

KINDS = ("company", "product", "person", "policy")
BY_NAME = {relation.name: relation for relation in (*RELATIONS, *UNSEEN)}


@dataclass(frozen=True, slots=True)
class TwoHop:
    """A question whose answer is the `second` relation of the value of the `first`."""

    name: str
    first: str
    second: str
    questions: tuple[str, ...]


TWO_HOPS: tuple[TwoHop, ...] = (
    TwoHop(
        "maker_headquarters",
        "maker",
        "headquarters",
        (
            "Where is the maker of {s} based?",
            "In which city are the headquarters of the company that makes {s}?",
            "What is the home town of the producer of {s}?",
        ),
    ),
    TwoHop(
        "maker_ceo",
        "maker",
        "ceo",
        (
            "Who leads the maker of {s}?",
            "Who is the chief executive of the company that makes {s}?",
            "Who runs the producer of {s}?",
        ),
    ),
    TwoHop(
        "ceo_birthplace",
        "ceo",
        "birthplace",
        (
            "Where was the head of {s} born?",
            "What is the birthplace of the chief executive of {s}?",
            "Where does the person who runs {s} come from?",
        ),
    ),
    TwoHop(
        "employer_founded",
        "employer",
        "founded",
        (
            "When was the employer of {s} founded?",
            "In which year was the company that employs {s} set up?",
            "What is the founding year of the company {s} works for?",
        ),
    ),
    TwoHop(
        "supplier_headquarters",
        "supplier",
        "headquarters",
        (
            "Where is the supplier of {s} based?",
            "In which city is the head office of the company that supplies {s}?",
            "What is the home town of the firm {s} buys its parts from?",
        ),
    ),
    TwoHop(
        "approver_role",
        "approver",
        "role",
        (
            "What is the job of the approver named in {s}?",
            "As what does the person who signs off on {s} work?",
            "What is the trade of the person to whom requests go under {s}?",
        ),
    ),
)
