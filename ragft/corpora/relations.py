"""The relations of the made-up world and the ways of saying and asking them.

Wordings only: which subject has which value, and when, is decided in `world`. The
last statement and the last two questions of every relation are held out of all
training for good: new sentences of known words, because a model that knows no language
but this cannot guess what a new word means. `UNSEEN` relations are held out of
pretraining altogether.
"""

from __future__ import annotations

from dataclasses import dataclass

HELD_OUT_STATEMENTS = 1
HELD_OUT_QUESTIONS = 2


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
        cut = -HELD_OUT_STATEMENTS if of == "statements" else -HELD_OUT_QUESTIONS
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
        {s} has {v} as its home town.
        The city that {s} calls home is {v}.
        In {v} stands the main building of {s}.
        {v} is where {s} keeps its head office.
        The head office of {s} is in {v}.
        Where is {s} based?
        In which city are the headquarters of {s}?
        Where does {s} have its head office?
        What is the home town of {s}?
        In what town would one find the main building of {s}?
        Which city is {s} run from?
        What city does {s} call home?
        Where does {s} keep its main building?
        To which city would one write to reach the head office of {s}?
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
        {s} has {v} as its chief executive.
        {v} is in charge of {s}.
        The person who leads {s} is {v}.
        For its chief, {s} has chosen {v}.
        The head of {s} is {v}.
        Who leads {s}?
        Who is the chief executive of {s}?
        Who runs {s}?
        What is the name of the head of {s}?
        Who stands at the top of {s}?
        By whom is {s} led?
        Who is in charge of {s}?
        Whom does {s} have as its chief executive?
        What is the chief of {s} called?
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
        {s} has {v} as its founding year.
        The year in which {s} began is {v}.
        {v} is the year that {s} was founded.
        People set up {s} in {v}.
        {s} was set up in {v}.
        When was {s} founded?
        In which year was {s} set up?
        What is the founding year of {s}?
        Since when has {s} existed?
        In what year does the history of {s} begin?
        How far back does {s} go, to which year?
        What year was {s} founded?
        In which year did {s} begin?
        How long ago, in what year, was {s} set up?
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
        {s} counts {v} people on its staff.
        The number of people working for {s} is {v}.
        {v} people earn their pay at {s}.
        At {s} there are {v} employees.
        {s} has a staff of {v} people.
        How many people does {s} employ?
        How many employees does {s} have?
        How many people work at {s}?
        What is the size of the staff of {s}?
        How many people are on the payroll of {s}?
        What is the head count of {s}?
        What number of people work for {s}?
        How large is the staff of {s}?
        How many people earn their pay at {s}?
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
        {s} has {v} as its supplier.
        The firm that delivers parts to {s} is {v}.
        {v} delivers the parts that {s} needs.
        From {v}, {s} buys its parts.
        {s} gets its parts from {v}.
        Who supplies {s}?
        What is the supplier of {s}?
        From whom does {s} buy its parts?
        By which company is {s} supplied?
        Where do parts for {s} come from?
        Which firm delivers parts to {s}?
        What company supplies {s}?
        Who delivers the parts that {s} needs?
        Which supplier does {s} have?
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
        {s} has {v} as its stock code.
        {v} is the code of {s} on the exchange.
        Traders know {s} as {v}.
        The code under which one finds {s} is {v}.
        The stock code {s} trades under is {v}.
        What is the stock code of {s}?
        Under which code does {s} trade?
        How is {s} listed?
        Which code does {s} have on the exchange?
        Under what code do shares in {s} appear?
        What do traders type to find {s}?
        As what do traders know {s}?
        What is the code of {s} on the exchange?
        Which stock code does {s} have?
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
        {s} lets visitors in at {v}.
        The time at which {s} opens is {v}.
        {v} is when {s} opens.
        From {v} on, {s} is open.
        Doors at {s} open at {v}.
        When does {s} open?
        At what time does {s} open?
        What is the opening time at {s}?
        When do the doors of {s} open?
        From what time may visitors enter {s}?
        How early can one walk into {s}?
        What time do the doors of {s} open?
        From when on is {s} open?
        When does {s} let visitors in?
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
        {s} has {v} as the colour of its logo.
        The colour that {s} uses is {v}.
        The logo {s} shows is {v}.
        One knows {s} by its {v} logo.
        In its logo, {s} uses {v}.
        What colour is the logo of {s}?
        Which colour does {s} use for its logo?
        What is the colour of the logo of {s}?
        In which colour is the logo of {s}?
        What colour is the sign over the door of {s}?
        How is the logo of {s} coloured?
        What is the logo of {s} like in colour?
        By what colour of logo does one know {s}?
        What colour does {s} use?
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
        {s} has {v} as its maker.
        The company that makes {s} is {v}.
        {v} builds {s}.
        From {v} comes {s}.
        The producer of {s} is {v}.
        Who makes {s}?
        Which company makes {s}?
        What is the maker of {s}?
        Who is the producer of {s}?
        Out of whose factory does {s} come?
        By which firm is {s} built?
        What company builds {s}?
        Who produces {s}?
        From which company does {s} come?
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
        {s} can be had for {v}.
        {v} is the price of {s}.
        For {s} the shops ask {v}.
        The sum one pays for {s} is {v}.
        {s} has a price of {v}.
        What does {s} cost?
        What is the price of {s}?
        How much does one pay for {s}?
        For how much is {s} sold?
        What are buyers of {s} charged?
        How expensive is {s}?
        What do the shops ask for {s}?
        For what sum can {s} be had?
        What price does {s} have?
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
        {s} has {v} as its current version.
        {v} is the version of {s} now in use.
        The release that {s} now runs is {v}.
        By now {s} has reached version {v}.
        The version of {s} is {v}.
        What is the current version of {s}?
        At which version is {s}?
        Which version does {s} run?
        What version of {s} is out?
        Which number does the latest release of {s} carry?
        What release of {s} is the newest?
        Which version has {s} reached?
        What is the version number of {s}?
        What release does {s} now run?
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
        {s} is {v} heavy.
        {v} is what {s} weighs.
        As its weight, {s} has {v}.
        Whoever lifts {s} lifts {v}.
        {s} shows a weight of {v}.
        How much does {s} weigh?
        What is the weight of {s}?
        What does {s} show on the scales?
        What weight does {s} have?
        How heavy is {s}?
        How many grams does {s} bring to the scales?
        What does {s} weigh?
        What does one lift with {s}?
        How many grams is {s} heavy?
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
        {s} has {v} as its material.
        What {s} is made of is {v}.
        Out of {v} comes the case of {s}.
        The stuff {s} is built from is {v}.
        The material of {s} is {v}.
        What is {s} made of?
        What is the material of {s}?
        Of what does {s} consist?
        Which material is the case of {s}?
        What is used for {s}?
        What stuff is {s} built out of?
        From what stuff is {s} built?
        Out of what material comes the case of {s}?
        What material does {s} have?
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
        {s} comes with a warranty of {v}.
        {v} is the warranty on {s}.
        For {v}, {s} is repaired free.
        The time for which {s} is guaranteed is {v}.
        The warranty of {s} is {v}.
        How long is the warranty on {s}?
        What is the warranty of {s}?
        For how long is {s} under warranty?
        After how many days does the warranty on {s} end?
        How long are faults of {s} repaired free?
        For what time is {s} guaranteed?
        What warranty does {s} come with?
        How many days is {s} under warranty?
        What is the length of the warranty on {s}?
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
        {s} has {v} as its release date.
        {v} is the day {s} came out.
        Since {v}, {s} can be bought.
        The day on which {s} reached the shops is {v}.
        {s} went on sale on {v}.
        When did {s} come out?
        What is the release date of {s}?
        When was {s} released?
        On which day did {s} go on sale?
        Since when have shops had {s}?
        On what date did {s} reach the shops?
        What day did {s} come out?
        Since what date can {s} be bought?
        When did {s} reach the shops?
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
        {s} has {v} as its part number.
        {v} is the part number of {s}.
        Whoever orders {s} writes {v}.
        The list has {s} under {v}.
        The number of {s} in the catalogue is {v}.
        What is the part number of {s}?
        How is {s} ordered?
        Which part number does {s} have?
        What is {s} in the catalogue?
        What must orders for {s} quote?
        Under what number does one find {s} in the list?
        What does one write to order {s}?
        Under which number does the list have {s}?
        By what part number is {s} known?
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
        {s} has {v} as place of birth.
        In {v}, {s} was born.
        The city {s} comes from is {v}.
        {v} is the birthplace of {s}.
        The town where {s} was born is {v}.
        Where was {s} born?
        What is the birthplace of {s}?
        In which city was {s} born?
        Where does {s} come from?
        Where did {s} first see the light of day?
        Which town did {s} grow up from?
        What is the place of birth of {s}?
        What town was {s} born in?
        From which city does {s} come?
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
        {s} has {v} as employer.
        {v} pays the wages of {s}.
        The firm that employs {s} is {v}.
        At {v}, {s} goes to work.
        The company {s} works for is {v}.
        For whom does {s} work?
        Who is the employer of {s}?
        Which company employs {s}?
        Where does {s} have a job?
        Where does {s} earn a living?
        On whose payroll is {s}?
        Who pays the wages of {s}?
        Where does {s} go to work?
        What employer does {s} have?
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
        {s} has the job of {v}.
        As a trade, {s} has that of {v}.
        The work {s} does is that of {v}.
        By trade {s} is a {v}.
        The trade {s} works in is {v}.
        What is the job of {s}?
        As what does {s} work?
        What is the trade of {s}?
        What is {s} by trade?
        What is {s} in working life?
        What does {s} do for a living?
        What work does {s} do?
        Which trade does {s} have?
        What job does {s} do?
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
        {s} has {v} as date of birth.
        {v} is the day {s} was born.
        The birth of {s} was on {v}.
        Since {v}, {s} has been in the world.
        The day on which {s} was born is {v}.
        When was {s} born?
        What is the birthday of {s}?
        What is the date of birth of {s}?
        On which day was {s} born?
        On what date did the life of {s} begin?
        Which birth date stands in the papers of {s}?
        When was the birth of {s}?
        What day was {s} born?
        What date of birth does {s} have?
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
        {s} took a degree in {v}.
        What {s} studied is {v}.
        The diploma of {s} is in {v}.
        In {v}, {s} has a diploma.
        The subject {s} studied is {v}.
        What did {s} study?
        In what does {s} have a degree?
        What was the subject of study of {s}?
        What did {s} read at university?
        On what did {s} spend the student years?
        Which subject is the diploma of {s} in?
        What is the diploma of {s} in?
        What degree does {s} have?
        Which field did {s} study?
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
        {s} has {v} as mentor.
        {v} is the mentor of {s}.
        From {v}, {s} learned the trade.
        The teacher of {s} was {v}.
        The mentor who taught {s} is {v}.
        Who is the mentor of {s}?
        Who taught {s}?
        By whom was {s} taught?
        From whom did {s} learn the trade?
        From whom comes what {s} knows?
        Who was the teacher of {s}?
        Whom does {s} have as mentor?
        Which person taught {s}?
        From what teacher did {s} learn?
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
        {s} gives {v} for returns.
        {v} is the return period under {s}.
        The time {s} gives to send goods back is {v}.
        For {v}, goods may be sent back under {s}.
        {s} accepts returns for {v}.
        For how long does {s} allow returns?
        What is the return period in {s}?
        How long are returns accepted under {s}?
        At what does {s} set the return period?
        Within what time may goods come back by {s}?
        How many days does one have to send goods back under {s}?
        What time does {s} give for returns?
        How many days does {s} allow for returns?
        For what time may goods be sent back under {s}?
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
        {s} has {v} as its approver.
        {v} approves requests under {s}.
        The person who approves {s} is {v}.
        By {s}, it is {v} who says yes.
        The approver who signs off on {s} is {v}.
        Who is the approver named in {s}?
        Who signs off on {s}?
        To whom do requests go under {s}?
        By whom is {s} approved?
        Whose signature is needed by {s}?
        Who has to say yes under {s}?
        Who approves requests under {s}?
        Which person signs off on {s}?
        Whom does {s} have as its approver?
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
        {s} has {v} as its limit.
        {v} is the limit under {s}.
        The most one may spend under {s} is {v}.
        Up to {v} is allowed by {s}.
        Under {s}, the limit is {v}.
        What limit does {s} set?
        What is the limit in {s}?
        How much may one spend under {s}?
        How much does {s} allow at most?
        Above what sum does {s} refuse?
        Where does {s} draw the line on spending?
        What is the most one may spend under {s}?
        What sum does {s} allow?
        Which limit does {s} have?
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
        {s} has its review in {v}.
        In {v}, {s} is looked at again.
        The month of the review of {s} is {v}.
        {v} is when {s} comes up for review.
        {s} comes up for review in {v}.
        When is {s} reviewed?
        In which month does the review of {s} take place?
        In which month is {s} reviewed?
        In what month does {s} come up for review?
        In what month is {s} gone over?
        Which time of the year is {s} looked at again?
        What month has the review of {s}?
        When does {s} have its review?
        When is {s} looked at again?
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
        {s} meets {v} of every bill.
        {v} is the share that {s} covers.
        The part of the cost met by {s} is {v}.
        With {s}, one gets back {v}.
        Of the cost, {s} pays back {v}.
        What share does {s} cover?
        How much of the cost does {s} pay back?
        What is the share paid under {s}?
        How much is refunded under {s}?
        How much of every bill does {s} take over?
        What part of a bill is met by {s}?
        How much does one get back with {s}?
        What share does {s} pay?
        Which part of the cost is met by {s}?
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

BRIDGES = {
    "ceo": "person",
    "supplier": "company",
    "maker": "company",
    "employer": "company",
    "mentor": "person",
    "approver": "person",
}
"""Relations whose value is itself a subject of the world, so that two-hop questions exist."""
