// Our own set: two people write to one another through thirty evenings of a year. What they say of themselves is written
// by hand, with the questions that it answers; what people say in between is drawn from a list, always the same way.
//
// A row: session, speaker (L for Lena, O for Oskar), key, what is said, single questions, temporal questions.
const ROWS = [
  [1, "L", "flat", "I moved into the attic flat above the bakery, so I wake up to cinnamon.", ["Where did Lena move to?", "What smell does Lena wake up to?"], ["When did Lena move into her flat?"]],
  [1, "O", "ferry", "I steer the small ferry between the islands, six crossings a day.", ["What does Oskar do for a living?", "How many crossings does Oskar make a day?"], []],
  [1, "L", "violas", "I repair violas and cellos in a workshop behind the station.", ["What does Lena repair?", "Where is Lena's workshop?"], []],
  [2, "O", "knee", "I tore a ligament in my knee on the football pitch yesterday.", ["What did Oskar injure?"], ["When did Oskar hurt his knee?"]],
  [2, "L", "aunt", "My aunt Rosalind taught me to swim in the river when I was five.", ["Who taught Lena to swim?", "How old was Lena when she learned to swim?"], []],
  [2, "O", "twins", "My brother Emil has twins, Ada and Tove, and they call me Captain.", ["What are the names of Emil's twins?", "What do the twins call Oskar?"], []],
  [3, "L", "allergy", "I cannot eat hazelnuts, my throat swells up at once.", ["What is Lena allergic to?"], []],
  [3, "O", "accordion", "I bought a second-hand accordion at the harbour flea market this morning.", ["What did Oskar buy at the flea market?"], ["When did Oskar buy the accordion?"]],
  [3, "L", "choir", "I sing alto in a choir that only does sea shanties.", ["What voice does Lena sing in the choir?", "What does Lena's choir sing?"], []],
  [4, "O", "lighthouse", "My grandfather kept the lighthouse at Rauma until 1978.", ["Where did Oskar's grandfather keep a lighthouse?"], []],
  [4, "L", "prize", "I won second prize for the cello I restored for the conservatory!", ["What did Lena win second prize for?"], ["When did Lena win a prize?"]],
  [4, "O", "vegetarian", "I stopped eating meat after a summer on a pig farm.", ["Why did Oskar stop eating meat?"], []],
  [5, "L", "cat", "A grey cat moved in through my skylight, I call her Fugue.", ["What is Lena's cat called?", "How did the cat get into Lena's flat?"], ["When did the cat move in with Lena?"]],
  [5, "O", "welsh", "I am learning Welsh with an app because of a song I love.", ["Which language is Oskar learning?", "Why is Oskar learning Welsh?"], []],
  [5, "L", "bicycle", "Somebody stole my bicycle outside the library last night.", ["What was stolen from Lena?", "Where was Lena's bicycle stolen?"], ["When was Lena's bicycle stolen?"]],
  [6, "O", "sauna", "We built a sauna on the raft, it took forty planks and two weekends.", ["What did Oskar build on the raft?", "How many planks did the sauna take?"], ["When did Oskar build the sauna?"]],
  [6, "L", "heights", "I get dizzy on ladders, heights have frightened me since I was a child.", ["What is Lena afraid of?"], []],
  [6, "O", "exam", "I passed the captain's exam for larger ships!", ["Which exam did Oskar pass?"], ["When did Oskar pass his exam?"]],
  [7, "L", "bread", "The baker downstairs, Mr Okafor, is teaching me sourdough on Sundays.", ["Who teaches Lena to bake?", "On which day does Lena learn to bake?"], []],
  [7, "O", "fog", "I ran the ferry onto a sandbank in the fog, nobody was hurt.", ["What happened to the ferry in the fog?"], ["When did Oskar run the ferry aground?"]],
  [7, "L", "glasses", "I picked round green glasses, the optician says I look like a beetle.", ["What do Lena's glasses look like?"], ["When did Lena get new glasses?"]],
  [8, "O", "stamps", "I collect stamps that show bridges, about three hundred by now.", ["What does Oskar collect?", "How many stamps does Oskar have?"], []],
  [8, "L", "prague", "I spent four days in Prague and heard two operas.", ["Where did Lena travel for four days?", "How many operas did Lena hear in Prague?"], ["When was Lena in Prague?"]],
  [8, "O", "mother", "My mother is having her hip replaced on Thursday.", ["What operation is Oskar's mother having?"], ["When is the operation of Oskar's mother?"]],
  [9, "L", "apprentice", "I have an apprentice now, her name is Jun and she has golden hands.", ["What is the name of Lena's apprentice?"], ["When did Lena take on an apprentice?"]],
  [9, "O", "chess", "I play correspondence chess with a retired judge in Lima.", ["With whom does Oskar play chess?", "Where does Oskar's chess partner live?"], []],
  [9, "L", "tea", "Coffee gives me headaches, so it is smoky tea all day.", ["What does Lena drink instead of coffee?", "Why does Lena not drink coffee?"], []],
  [10, "O", "tattoo", "I got a swallow tattooed on my left wrist.", ["What tattoo does Oskar have?", "Where is Oskar's tattoo?"], ["When did Oskar get his tattoo?"]],
  [10, "L", "flood", "A pipe burst and my workshop stood under water for two days.", ["What happened to Lena's workshop?"], ["When was Lena's workshop flooded?"]],
  [10, "O", "harvest", "I help my neighbour Signe pick apples every autumn.", ["Whom does Oskar help with the apples?"], []],
  [11, "L", "date", "I went to dinner with the librarian, his name is Tobias.", ["With whom did Lena go to dinner?", "What is Tobias's job?"], ["When did Lena have dinner with Tobias?"]],
  [11, "O", "engine", "The ferry gets an electric engine in spring, no more diesel fumes.", ["What will be changed about the ferry?"], []],
  [11, "L", "piano", "My upright piano has to be lifted through the window with a crane.", ["How will Lena's piano get into the flat?"], []],
  [12, "O", "marathon", "I signed up for a half marathon along the coast.", ["What race did Oskar sign up for?"], ["When did Oskar sign up for the race?"]],
  [12, "L", "grandmother", "My grandmother died on Tuesday. She left me her tuning fork.", ["What did Lena inherit from her grandmother?"], ["When did Lena's grandmother die?"]],
  [12, "O", "recipe", "My best dish is beetroot soup with horseradish.", ["What is Oskar's best dish?"], []],
  [13, "L", "spain", "I studied violin making in Granada for three years.", ["Where did Lena study violin making?", "How long did Lena study in Granada?"], []],
  [13, "O", "seal", "A seal pup climbed aboard the ferry and slept on the ropes.", ["Which animal climbed aboard the ferry?"], ["When did the seal come aboard?"]],
  [13, "L", "insurance", "The insurance finally paid for the flooded workshop, 4,200 in all.", ["How much did the insurance pay Lena?"], ["When did the insurance pay?"]],
  [14, "O", "sister", "My half-sister Maren found me through an old letter. I never knew of her.", ["Who is Maren?", "How did Maren find Oskar?"], ["When did Oskar hear of his half-sister?"]],
  [14, "L", "colour", "I painted my kitchen the yellow of egg yolk.", ["What colour is Lena's kitchen?"], ["When did Lena paint her kitchen?"]],
  [14, "O", "books", "I read detective novels backwards, last chapter first.", ["What odd reading habit does Oskar have?"], []],
  [15, "L", "concert", "My choir sings at the harbour festival, I have a solo of eight bars.", ["Where does Lena's choir sing?", "How long is Lena's solo?"], []],
  [15, "O", "crew", "We hired a new deckhand, Paavo, who used to be a clown.", ["Who is the new deckhand?", "What was Paavo before?"], ["When did the ferry get a new deckhand?"]],
  [15, "L", "radio", "The local radio interviewed me about restoring old instruments.", ["Who interviewed Lena?"], ["When was Lena on the radio?"]],
  [16, "O", "storm", "The storm tore the roof off my boat shed last night.", ["What did the storm do to Oskar's shed?"], ["When did the storm damage the shed?"]],
  [16, "L", "tobias2", "Tobias and I are together now, officially.", ["What is the relationship between Lena and Tobias?"], ["When did Lena and Tobias become a couple?"]],
  [16, "O", "hearing", "I hear badly on my right ear since a firework went off beside me.", ["What is wrong with Oskar's ear?", "Why does Oskar hear badly?"], []],
  [17, "L", "driving", "I passed my driving test at the third attempt!", ["Which test did Lena pass?", "How many attempts did Lena need?"], ["When did Lena pass her driving test?"]],
  [17, "O", "garden", "I grow nothing but dahlias, the slugs adore me.", ["Which flowers does Oskar grow?"], []],
  [17, "L", "cello", "A cello by Testore came in for repair, it is worth more than the house.", ["Which valuable instrument is Lena repairing?"], ["When did the Testore come in?"]],
  [18, "O", "meet", "I met Maren at the airport, we have the same laugh.", ["Where did Oskar meet Maren?", "What do Oskar and Maren have in common?"], ["When did Oskar meet Maren?"]],
  [18, "L", "kiln", "I started pottery on Wednesdays, my first bowl leaks.", ["Which course did Lena start?", "What is wrong with Lena's first bowl?"], ["When did Lena start pottery?"]],
  [18, "O", "debt", "I paid off the last of my student loan today.", ["What did Oskar pay off?"], ["When did Oskar pay off his loan?"]],
  [19, "L", "iceland", "In February Tobias and I will travel to Iceland for the northern lights.", ["Where will Lena and Tobias travel?", "Why do they want to go to Iceland?"], []],
  [19, "O", "dentist", "The dentist pulled two wisdom teeth, I look like a hamster.", ["What did the dentist do to Oskar?"], ["When did Oskar have his teeth pulled?"]],
  [19, "L", "jun2", "Jun finished her first violin and named it Pigeon.", ["What did Jun name her first violin?"], ["When did Jun finish her violin?"]],
  [20, "O", "marathon2", "I ran the half marathon in two hours and four minutes.", ["How fast did Oskar run the half marathon?"], ["When did Oskar run the half marathon?"]],
  [20, "L", "ring", "I lost my grandmother's tuning fork on the tram.", ["What did Lena lose on the tram?"], ["When did Lena lose the tuning fork?"]],
  [20, "O", "cinema", "We opened a cinema in the old net store, thirty seats from a church.", ["What was opened in the net store?", "Where are the seats of the cinema from?"], ["When did the cinema open?"]],
  [21, "L", "found", "A tram driver brought the tuning fork back to me!", ["Who brought back the tuning fork?"], ["When did Lena get the tuning fork back?"]],
  [21, "O", "award", "The island council gave me a medal for pulling a child out of the water.", ["Why did Oskar get a medal?", "Who gave Oskar a medal?"], ["When did Oskar get a medal?"]],
  [21, "L", "cat2", "Fugue had four kittens in my violin case.", ["Where did Fugue have her kittens?", "How many kittens did Fugue have?"], ["When were the kittens born?"]],
  [22, "O", "kitten", "I would like the black kitten, I will call him Anchor.", ["Which kitten does Oskar want?", "What will Oskar call his kitten?"], []],
  [22, "L", "job", "The opera house offered me a post as keeper of its instruments.", ["Who offered Lena a post?"], ["When did the opera house make Lena an offer?"]],
  [22, "O", "father", "My father sold his share of the shipyard after forty years.", ["What did Oskar's father sell?"], ["When did Oskar's father sell his share?"]],
  [23, "L", "declined", "I turned the opera house down, I want to stay my own boss.", ["Why did Lena turn down the post?"], ["When did Lena turn down the opera house?"]],
  [23, "O", "book", "I am writing down the stories of ferry passengers, sixty pages so far.", ["What is Oskar writing?", "How many pages has Oskar written?"], []],
  [23, "L", "burn", "I burned my hand on hot hide glue.", ["How did Lena burn her hand?"], ["When did Lena burn her hand?"]],
  [24, "O", "anchor", "Anchor has arrived and sleeps in the wheelhouse.", ["Where does Anchor sleep?"], ["When did Oskar get his kitten?"]],
  [24, "L", "mountain", "I walked up a mountain with Tobias and did not look down once.", ["With whom did Lena walk up a mountain?"], ["When did Lena walk up the mountain?"]],
  [24, "O", "voice", "I record the weather report for the island radio every morning.", ["What does Oskar record every morning?"], []],
  [25, "L", "iceland2", "Iceland was all cloud, but on the last night the sky turned green.", ["What did Lena see on the last night in Iceland?"], ["When did Lena come back from Iceland?"]],
  [25, "O", "electric", "The electric engine is in, the ferry hums like a fridge.", ["What does the ferry sound like now?"], ["When did the ferry get its electric engine?"]],
  [25, "L", "bank", "I took a loan of nine thousand for a new bandsaw.", ["What did Lena take a loan for?", "How much did Lena borrow?"], ["When did Lena take a loan?"]],
  [26, "O", "publisher", "A small publisher wants my ferry stories.", ["Who wants to publish Oskar's stories?"], ["When did Oskar find a publisher?"]],
  [26, "L", "tobias3", "Tobias moved in with me, and with nine hundred books.", ["How many books did Tobias bring?"], ["When did Tobias move in with Lena?"]],
  [26, "O", "signe", "Signe broke her arm, so I milk her goats this month.", ["Whose goats does Oskar milk?", "Why does Oskar milk the goats?"], ["When did Signe break her arm?"]],
  [27, "L", "exhibition", "The museum borrows my restored cello for an exhibition.", ["What does the museum borrow from Lena?"], ["When did the museum ask Lena for the cello?"]],
  [27, "O", "diving", "I went diving to the wreck of the Bore, eighteen metres down.", ["Which wreck did Oskar dive to?", "How deep did Oskar dive?"], ["When did Oskar dive to the wreck?"]],
  [27, "L", "teeth", "Jun leaves for Cremona in the autumn, she got the scholarship.", ["Where is Jun going?", "Why can Jun go to Cremona?"], ["When did Jun get the scholarship?"]],
  [28, "O", "title", "My book is called Six Crossings a Day.", ["What is the title of Oskar's book?"], []],
  [28, "L", "proposal", "Tobias proposed to me between the shelves for poetry.", ["Where did Tobias propose?"], ["When did Tobias propose to Lena?"]],
  [28, "O", "goat", "Signe gave me a goat as thanks, her name is Duchess.", ["What did Signe give Oskar?", "What is the name of Oskar's goat?"], ["When did Oskar get a goat?"]],
  [29, "L", "wedding", "We marry on the ferry, and Oskar, you have to steer.", ["Where will Lena marry?"], []],
  [29, "O", "suit", "I have rented a blue captain's uniform with gold buttons.", ["What has Oskar rented?"], ["When did Oskar rent the uniform?"]],
  [29, "L", "dress", "I sew my dress out of an old spinnaker sail.", ["What is Lena's dress made of?"], []],
  [30, "O", "launch", "My book came out today, there is a stack of it at the ticket window.", ["Where is Oskar's book on sale?"], ["When did Oskar's book come out?"]],
  [30, "L", "rings", "Mr Okafor bakes a wedding cake in the shape of a viola.", ["Who bakes the wedding cake?", "What shape has the wedding cake?"], []],
];

// Questions that need several turns.
const MULTI = [
  ["Which animals does Oskar have?", ["anchor", "goat"]], ["Which musical things does Lena do?", ["violas", "choir", "piano"]],
  ["What did Lena inherit, lose and get back?", ["grandmother", "ring", "found"]], ["Which tests and exams did Lena and Oskar pass?", ["exam", "driving"]],
  ["What happened to the ferry through the year?", ["fog", "seal", "electric"]], ["Which instruments has Lena restored or repaired?", ["prize", "cello", "violas"]],
  ["How did Lena's relationship with Tobias go on?", ["date", "tobias2", "tobias3", "proposal"]], ["Who are Oskar's relatives?", ["twins", "lighthouse", "sister", "father"]],
  ["What has Jun achieved?", ["jun2", "teeth"]], ["What did Oskar do for Signe and what did she give him?", ["signe", "goat"]],
  ["Which injuries did Oskar have?", ["knee", "hearing"]], ["Which accidents did Lena have?", ["flood", "burn"]],
  ["Where has Lena travelled?", ["prague", "iceland2"]], ["What does Oskar do besides the ferry?", ["stamps", "chess", "voice"]],
  ["How did Oskar's book come about?", ["book", "publisher", "launch"]], ["What did Oskar and Maren do?", ["sister", "meet"]],
  ["Which money matters did Lena have?", ["insurance", "bank"]], ["What did the opera house offer and what did Lena answer?", ["job", "declined"]],
  ["What did Mr Okafor do for Lena?", ["bread", "rings"]], ["Which courses or lessons does Lena take?", ["bread", "kiln"]],
  ["How did Oskar prepare for and run his race?", ["marathon", "marathon2"]], ["What do we know of Fugue and her kittens?", ["cat", "cat2", "kitten"]],
  ["What did storms and water do this year?", ["storm", "flood"]], ["What is planned for the wedding?", ["wedding", "dress", "rings", "suit"]],
];
// Questions that ask for a judgement which one turn supports.
const OPEN = [
  ["Would Lena like a cake with nuts?", ["allergy"]], ["Would Oskar enjoy a steak house?", ["vegetarian"]], ["Would Lena enjoy working on a roof?", ["heights"]],
  ["Could Lena play for guests at home?", ["piano"]], ["What present would please Oskar the collector?", ["stamps"]], ["Is Oskar brave?", ["award"]],
  ["Does Lena care about being independent?", ["declined"]], ["Should one speak to Oskar from the right side?", ["hearing"]], ["Would an espresso machine be a good gift for Lena?", ["tea"]],
  ["Does Oskar look after his neighbours?", ["signe", "harvest"]], ["Is Lena proud of her apprentice?", ["apprentice"]], ["Would Oskar spoil the end of a crime story?", ["books"]],
  ["Could Oskar talk with people in Wales?", ["welsh"]], ["Is Lena a patient learner?", ["driving"]], ["Does Oskar get along with children?", ["twins"]],
  ["Could Lena speak some Spanish?", ["spain"]], ["Would Oskar be a good guide for divers?", ["diving"]], ["Is Oskar vain about his looks?", ["dentist"]],
  ["Does Lena like bright colours at home?", ["colour"]], ["Does Oskar like warm evenings on the water?", ["sauna"]],
];
// What was never said, or was said of the other.
const UNANSWERABLE = [
  "What is the name of Lena's brother?", "Which car does Oskar drive?", "When did Lena go to Japan?", "What is Oskar's blood group?", "Which university did Oskar go to?",
  "What did Lena name her boat?", "How tall is Oskar?", "Which football club does Lena support?", "What is Lena's phone number?", "When did Oskar get married?",
  "Which instrument did Oskar repair?", "Who is Lena's favourite painter?", "How much does Oskar earn?", "Which medicine does Lena take?", "What did Oskar cook for the mayor?",
  "When did Lena break her leg?", "Where did Oskar go skiing?", "Which film won at Lena's festival?", "What is the name of Oskar's dog?", "Who painted Lena's portrait?",
];

const SMALL_TALK = [
  "Hello you, how was the week?", "Busy, but I cannot complain.", "It rained sideways here all day.", "Have you eaten yet?", "Just some toast, I was lazy.", "That sounds wonderful!",
  "Oh no, are you all right?", "I am, thank you for asking.", "You always make me laugh.", "Tell me more about it.", "There is not much to tell, really.", "I should go to bed earlier.",
  "The evenings are getting longer.", "I had that tune in my head all day.", "Same here, isn't it strange?", "Did you sleep well?", "Like a stone.", "I have to be up early tomorrow.",
  "Let us talk again soon.", "Good night, and mind the stairs.", "My neighbour is hammering again.", "The kettle just boiled.", "What would I do without you?", "You would manage.",
  "I am so glad to hear it.", "Nobody believes me when I tell them.", "I will send you a picture when I find it.", "The market was full of people.", "I nearly forgot to write to you.",
  "That reminds me of something, but I have lost it.", "We should visit one another some day.", "Only if you bring cake.", "Deal.", "It took me hours.", "Better late than never.",
];

// A small generator of numbers, so that the set is the same on every machine.
function numbers(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return seed / 4294967296;
  };
}

export function generate() {
  const next = numbers(7), start = Date.UTC(2023, 4, 3, 19), DAY = 24 * 3600 * 1000;
  const messages = [], ids = new Map();
  const say = (at, speaker, text) => {
    messages.push({ id: `D${messages.length + 1}`, speaker: speaker === "L" ? "Lena" : "Oskar", at: new Date(at).toISOString(), text });
    return messages.at(-1).id;
  };
  for (let session = 1; session <= 30; session++) {
    let at = start + session * 11 * DAY + Math.floor(next() * 3) * DAY, speaker = next() < 0.5 ? "L" : "O";
    const chatter = (lines) => {
      for (let i = 0; i < lines; i++, speaker = speaker === "L" ? "O" : "L")
        say((at += 20000 + Math.floor(next() * 90000)), speaker, SMALL_TALK[Math.floor(next() * SMALL_TALK.length)]);
    };
    chatter(3);
    for (const [, who, key, text] of ROWS.filter((row) => row[0] === session)) {
      ids.set(key, say((at += 45000), who, text));
      speaker = who === "L" ? "O" : "L";
      chatter(2 + Math.floor(next() * 4));
    }
  }
  const questions = [];
  const ask = (category, question, keys) => questions.push({ category, question, evidence: keys.map((key) => ids.get(key)) });
  for (const [, , key, , single, temporal] of ROWS) {
    single.forEach((question) => ask("single", question, [key]));
    temporal.forEach((question) => ask("temporal", question, [key]));
  }
  MULTI.forEach(([question, keys]) => ask("multi-hop", question, keys));
  OPEN.forEach(([question, keys]) => ask("open", question, keys));
  UNANSWERABLE.forEach((question) => ask("unanswerable", question, []));
  return [{ name: "Lena and Oskar", speakers: ["Lena", "Oskar"], messages, questions }];
}
