"""The words of our own sentences in English, German and Korean, and which go together.

One line of a table is one word in three languages, its columns separated by `|`. A column with several forms lists them
in a fixed order, which the comment above its table gives. Only what a rule cannot make stands here: `dataset.english`,
`dataset.german` and `dataset.korean` inflect.

Words that can be taken for each other are left out where a reader could not tell them apart either: Korean 배 is a
pear, a ship and a stomach, German "Geschichte" a story and history.
"""

import functools
import re
from typing import NamedTuple


class Noun(NamedTuple):
    """A noun. `oblique` is the German singular outside the nominative (der Student, den Studenten)."""

    key: str  # the English singular; may be two words
    plural: str  # English; "" for what is not counted: coffee, music
    gender: str  # German: m, f, n
    german: str
    german_plural: str
    oblique: str
    korean: str  # may be two words
    counter: str  # Korean: 책 두 권, two books
    tags: frozenset


class Verb(NamedTuple):
    """A verb and what it goes with.

    prefix: of a separable German verb (rufen, an). case: acc, dat, or a preposition with the dative (mit).
    particle: 을, 과 and 이 stand for both of their forms. objects, places: tags or keys of nouns that fit.
    """

    key: str  # English base form; may be two words
    third: str  # calls
    past: str  # called
    prefix: str  # an
    infinitive: str  # rufen, without prefix
    second: str  # du rufst
    third_german: str  # er ruft
    imperative: str  # ruf
    participle: str  # angerufen
    auxiliary: str  # haben or sein
    stem: str  # Korean: 읽, 듣, 만들
    a_form: str  # with 아 or 어: 읽어, 들어, 만들어
    eu_form: str  # before (으)ㄹ, (으)ㄴ, (으)세요: 읽으, 들으, 만드
    preposition: str  # English, before the object: to, with
    case: str
    particle: str
    objects: tuple
    places: tuple
    flags: frozenset


class Adjective(NamedTuple):
    """An adjective. german_stem takes endings (teur-e), german stands alone (teuer)."""

    key: str
    german: str
    german_stem: str
    stem: str
    a_form: str
    eu_form: str
    tags: tuple  # of the nouns that it fits


class Spot(NamedTuple):
    """What stands before a noun to make it a place: behind the house, hinter dem Haus, 집 뒤에서."""

    english: str
    german: str
    case: str
    korean: str  # a noun of place after the noun: 뒤, 앞, 옆, 위, 아래


class Person(NamedTuple):
    """A pronoun or a name. number and person choose verb forms, gender pronouns and professions."""

    key: str
    german: str
    korean: str  # topic form and subject form of pronouns, the bare name of names
    person: int
    plural: bool
    gender: str


class Fixed(NamedTuple):
    """An adverbial that never changes: (token, units) pairs in each language; tokens that share a letter align."""

    key: str
    english: tuple
    german: tuple
    korean: tuple


# English singular, plural | German gender, singular, plural, oblique | Korean | Korean counter | tags
_NOUNS = """
man, men | m Mann Männer | 남자 | 명 | person
woman, women | f Frau Frauen | 여자 | 명 | person
child, children | n Kind Kinder | 아이 | 명 | person young group
boy, boys | m Junge Jungen Jungen | 소년 | 명 | person young
girl, girls | n Mädchen Mädchen | 소녀 | 명 | person young group
doctor, doctors | f Ärztin Ärztinnen | 의사 | 명 | person worker
teacher, teachers | m Lehrer Lehrer | 교사 | 명 | person worker
cook, cooks | m Koch Köche | 요리사 | 명 | person worker
nurse, nurses | m Pfleger Pfleger | 간호사 | 명 | person worker
painter, painters | f Malerin Malerinnen | 화가 | 명 | person worker
singer, singers | f Sängerin Sängerinnen | 가수 | 명 | person worker
baker, bakers | m Bäcker Bäcker | 제빵사 | 명 | person worker
farmer, farmers | m Bauer Bauern Bauern | 농부 | 명 | person worker
student, students | m Student Studenten Studenten | 학생 | 명 | person group
gardener, gardeners | m Gärtner Gärtner | 정원사 | 명 | person worker
pilot, pilots | f Pilotin Pilotinnen | 조종사 | 명 | person worker
police officer, police officers | f Polizistin Polizistinnen | 경찰관 | 명 | person worker
writer, writers | f Autorin Autorinnen | 작가 | 명 | person worker
lawyer, lawyers | f Anwältin Anwältinnen | 변호사 | 명 | person worker
guest, guests | m Gast Gäste | 손님 | 명 | person group
friend, friends | m Freund Freunde | 친구 | 명 | person close group
neighbor, neighbors | m Nachbar Nachbarn Nachbarn | 이웃 | 명 | person close group
colleague, colleagues | f Kollegin Kolleginnen | 동료 | 명 | person close
brother, brothers | m Bruder Brüder | 남동생 | 명 | person kin
sister, sisters | f Schwester Schwestern | 여동생 | 명 | person kin
cousin, cousins | m Cousin Cousins | 사촌 | 명 | person kin
aunt, aunts | f Tante Tanten | 이모 | 명 | person kin
uncle, uncles | m Onkel Onkel | 삼촌 | 명 | person kin

dog, dogs | m Hund Hunde | 개 | 마리 | animal pet
cat, cats | f Katze Katzen | 고양이 | 마리 | animal pet
bird, birds | m Vogel Vögel | 새 | 마리 | animal
horse, horses | n Pferd Pferde | 말 | 마리 | animal
rabbit, rabbits | m Hase Hasen Hasen | 토끼 | 마리 | animal pet
cow, cows | f Kuh Kühe | 소 | 마리 | animal
bear, bears | m Bär Bären Bären | 곰 | 마리 | animal
duck, ducks | f Ente Enten | 오리 | 마리 | animal

book, books | n Buch Bücher | 책 | 권 | thing text light
newspaper, newspapers | f Zeitung Zeitungen | 신문 | 부 | thing text light
letter, letters | m Brief Briefe | 편지 | 통 | thing text written light
novel, novels | m Roman Romane | 소설 | 권 | thing text written story
poem, poems | n Gedicht Gedichte | 시 | 편 | text written story
magazine, magazines | f Zeitschrift Zeitschriften | 잡지 | 권 | thing text light
cookbook, cookbooks | n Kochbuch Kochbücher | 요리책 | 권 | thing text light
dictionary, dictionaries | n Wörterbuch Wörterbücher | 사전 | 권 | thing text light
postcard, postcards | f Postkarte Postkarten | 엽서 | 장 | thing text written light
report, reports | m Bericht Berichte | 보고서 | 부 | text written

bread, | n Brot - | 빵 | | food baked cuttable
cake, cakes | m Kuchen Kuchen | 케이크 | 개 | food baked cuttable cake
apple cake, apple cakes | m Apfelkuchen Apfelkuchen | 사과 케이크 | 개 | food baked cuttable cake
cherry cake, cherry cakes | m Kirschkuchen Kirschkuchen | 체리 케이크 | 개 | food baked cuttable cake
chocolate cake, chocolate cakes | m Schokoladenkuchen Schokoladenkuchen | 초콜릿 케이크 | 개 | food baked cuttable cake
carrot cake, carrot cakes | m Karottenkuchen Karottenkuchen | 당근 케이크 | 개 | food baked cuttable cake
soup, | f Suppe - | 수프 | | food soup
potato soup, | f Kartoffelsuppe - | 감자 수프 | | food soup
tomato soup, | f Tomatensuppe - | 토마토 수프 | | food soup
carrot soup, | f Karottensuppe - | 당근 수프 | | food soup
fish soup, | f Fischsuppe - | 생선 수프 | | food soup
salad, | m Salat - | 샐러드 | | food salad
potato salad, | m Kartoffelsalat - | 감자 샐러드 | | food salad
tomato salad, | m Tomatensalat - | 토마토 샐러드 | | food salad
fruit salad, | m Obstsalat - | 과일 샐러드 | | food salad
fish, | m Fisch - | 생선 | | food cooked
meat, | n Fleisch - | 고기 | | food cooked cuttable
cheese, | m Käse - | 치즈 | | food cuttable
chocolate, | f Schokolade - | 초콜릿 | | food
pizza, pizzas | f Pizza Pizzas | 피자 | 판 | food baked cuttable
cheese sandwich, cheese sandwiches | n Käsebrot Käsebrote | 치즈 샌드위치 | 개 | food
ham sandwich, ham sandwiches | n Schinkenbrot Schinkenbrote | 햄 샌드위치 | 개 | food
apple, apples | m Apfel Äpfel | 사과 | 개 | food fruit cuttable
banana, bananas | f Banane Bananen | 바나나 | 개 | food fruit
orange, oranges | f Orange Orangen | 오렌지 | 개 | food fruit cuttable
tomato, tomatoes | f Tomate Tomaten | 토마토 | 개 | food fruit cuttable
potato, potatoes | f Kartoffel Kartoffeln | 감자 | 개 | food fruit cuttable
egg, eggs | n Ei Eier | 달걀 | 개 | food

coffee, | m Kaffee - | 커피 | | drink hot
tea, | m Tee - | 차 | | drink hot
cocoa, | m Kakao - | 코코아 | | drink hot
water, | n Wasser - | 물 | | drink
milk, | f Milch - | 우유 | | drink
wine, | m Wein - | 와인 | | drink
beer, | n Bier - | 맥주 | | drink
lemonade, | f Limonade - | 레모네이드 | | drink
apple juice, | m Apfelsaft - | 사과 주스 | | drink juice
orange juice, | m Orangensaft - | 오렌지 주스 | | drink juice
cherry juice, | m Kirschsaft - | 체리 주스 | | drink juice
tomato juice, | m Tomatensaft - | 토마토 주스 | | drink juice
carrot juice, | m Karottensaft - | 당근 주스 | | drink juice

coat, coats | m Mantel Mäntel | 코트 | 벌 | thing clothes
winter coat, winter coats | m Wintermantel Wintermäntel | 겨울 코트 | 벌 | thing clothes
jacket, jackets | f Jacke Jacken | 재킷 | 벌 | thing clothes
winter jacket, winter jackets | f Winterjacke Winterjacken | 겨울 재킷 | 벌 | thing clothes
dress, dresses | n Kleid Kleider | 원피스 | 벌 | thing clothes
summer dress, summer dresses | n Sommerkleid Sommerkleider | 여름 원피스 | 벌 | thing clothes
shirt, shirts | n Hemd Hemden | 셔츠 | 벌 | thing clothes
skirt, skirts | m Rock Röcke | 치마 | 벌 | thing clothes
sweater, sweaters | m Pullover Pullover | 스웨터 | 벌 | thing clothes
suit, suits | m Anzug Anzüge | 양복 | 벌 | thing clothes

hat, hats | m Hut Hüte | 모자 | 개 | thing light own
bag, bags | f Tasche Taschen | 가방 | 개 | thing light own box
school bag, school bags | f Schultasche Schultaschen | 책가방 | 개 | thing light own box
umbrella, umbrellas | m Regenschirm Regenschirme | 우산 | 개 | thing light own
key, keys | m Schlüssel Schlüssel | 열쇠 | 개 | thing light own
car key, car keys | m Autoschlüssel Autoschlüssel | 자동차 열쇠 | 개 | thing light own
house key, house keys | m Hausschlüssel Hausschlüssel | 집 열쇠 | 개 | thing light own
watch, watches | f Uhr Uhren | 시계 | 개 | thing light own device
ring, rings | m Ring Ringe | 반지 | 개 | thing light own
photo, photos | n Foto Fotos | 사진 | 장 | thing light picture
picture, pictures | n Bild Bilder | 그림 | 점 | thing light picture
vase, vases | f Vase Vasen | 꽃병 | 개 | thing light gift
cup, cups | f Tasse Tassen | 컵 | 개 | thing light gift
plate, plates | m Teller Teller | 접시 | 개 | thing light
ball, balls | m Ball Bälle | 공 | 개 | thing light toy
doll, dolls | f Puppe Puppen | 인형 | 개 | thing light toy
guitar, guitars | f Gitarre Gitarren | 기타 | 대 | thing device
mirror, mirrors | m Spiegel Spiegel | 거울 | 개 | thing surface
chair, chairs | m Stuhl Stühle | 의자 | 개 | thing furniture
kitchen chair, kitchen chairs | m Küchenstuhl Küchenstühle | 부엌 의자 | 개 | thing furniture
garden chair, garden chairs | m Gartenstuhl Gartenstühle | 정원 의자 | 개 | thing furniture
table, tables | m Tisch Tische | 탁자 | 개 | thing furniture surface top
kitchen table, kitchen tables | m Küchentisch Küchentische | 식탁 | 개 | thing furniture surface top
garden table, garden tables | m Gartentisch Gartentische | 정원 탁자 | 개 | thing furniture surface top
desk, desks | m Schreibtisch Schreibtische | 책상 | 개 | thing furniture surface top room
bed, beds | n Bett Betten | 침대 | 개 | thing furniture top
lamp, lamps | f Lampe Lampen | 램프 | 개 | thing device switch
television, televisions | m Fernseher Fernseher | 텔레비전 | 대 | thing device switch
radio, radios | n Radio Radios | 라디오 | 대 | thing device switch
computer, computers | m Computer Computer | 컴퓨터 | 대 | thing device switch
oven, ovens | m Ofen Öfen | 오븐 | 대 | thing device switch
bicycle, bicycles | n Fahrrad Fahrräder | 자전거 | 대 | thing vehicle device
car, cars | n Auto Autos | 자동차 | 대 | thing vehicle device
box, boxes | f Kiste Kisten | 상자 | 개 | thing box load
suitcase, suitcases | m Koffer Koffer | 여행 가방 | 개 | thing box load
package, packages | n Paket Pakete | 소포 | 개 | thing box load
gift, gifts | n Geschenk Geschenke | 선물 | 개 | thing light gift
flower, flowers | f Blume Blumen | 꽃 | 송이 | thing light plant
rose, roses | f Rose Rosen | 장미 | 송이 | thing light plant
tree, trees | m Baum Bäume | 나무 | 그루 | plant landmark
window, windows | n Fenster Fenster | 창문 | 개 | opening surface
kitchen window, kitchen windows | n Küchenfenster Küchenfenster | 부엌 창문 | 개 | opening surface
door, doors | f Tür Türen | 문 | 개 | opening
kitchen door, kitchen doors | f Küchentür Küchentüren | 부엌 문 | 개 | opening
garden gate, garden gates | n Gartentor Gartentore | 정원 문 | 개 | opening

word, words | n Wort Wörter | 단어 | 개 | idea note
question, questions | f Frage Fragen | 질문 | 개 | idea
name, names | m Name Namen Namen | 이름 | 개 | note
address, addresses | f Adresse Adressen | 주소 | 개 | note
number, numbers | f Nummer Nummern | 번호 | 개 | note
song, songs | n Lied Lieder | 노래 | 곡 | sound
movie, movies | m Film Filme | 영화 | 편 | story watch
rule, rules | f Regel Regeln | 규칙 | 개 | idea

music, | f Musik - | 음악 | | school_subject sound
German, | n Deutsch - | 독일어 | | school_subject
Korean, | n Koreanisch - | 한국어 | | school_subject
English, | n Englisch - | 영어 | | school_subject
math, | f Mathematik - | 수학 | | school_subject
biology, | f Biologie - | 생물학 | | school_subject
chemistry, | f Chemie - | 화학 | | school_subject
soccer, | m Fußball - | 축구 | | sport
tennis, | n Tennis - | 테니스 | | sport
basketball, | m Basketball - | 농구 | | sport
baseball, | m Baseball - | 야구 | | sport
volleyball, | m Volleyball - | 배구 | | sport
table tennis, | n Tischtennis - | 탁구 | | sport

kitchen, kitchens | f Küche Küchen | 부엌 | | place home room
living room, living rooms | n Wohnzimmer Wohnzimmer | 거실 | | place home room
bedroom, bedrooms | n Schlafzimmer Schlafzimmer | 침실 | | place home room
bathroom, bathrooms | n Badezimmer Badezimmer | 욕실 | | place room
garage, garages | f Garage Garagen | 차고 | | place room
classroom, classrooms | n Klassenzimmer Klassenzimmer | 교실 | | place room
office, offices | n Büro Büros | 사무실 | | place room work
garden, gardens | m Garten Gärten | 정원 | | place home outdoor
park, parks | m Park Parks | 공원 | | place outdoor town
school, schools | f Schule Schulen | 학교 | | place town work landmark building
library, libraries | f Bibliothek Bibliotheken | 도서관 | | place town work landmark building
market, markets | m Markt Märkte | 시장 | | place town shop
supermarket, supermarkets | m Supermarkt Supermärkte | 슈퍼마켓 | | place town shop work landmark
bakery, bakeries | f Bäckerei Bäckereien | 빵집 | | place town work landmark
restaurant, restaurants | n Restaurant Restaurants | 식당 | | place town work landmark building
hospital, hospitals | n Krankenhaus Krankenhäuser | 병원 | | place town work landmark building
station, stations | m Bahnhof Bahnhöfe | 역 | | place town stop landmark
airport, airports | m Flughafen Flughäfen | 공항 | | place town stop work
museum, museums | n Museum Museen | 박물관 | | place town work landmark building visit
theater, theaters | n Theater Theater | 극장 | | place town work landmark building
hotel, hotels | n Hotel Hotels | 호텔 | | place town work landmark building
castle, castles | n Schloss Schlösser | 성 | | place building visit landmark
church, churches | f Kirche Kirchen | 교회 | | place building landmark
university, universities | f Universität Universitäten | 대학교 | | place town work landmark
factory, factories | f Fabrik Fabriken | 공장 | | place work
farm, farms | m Bauernhof Bauernhöfe | 농장 | | place work outdoor
village, villages | n Dorf Dörfer | 마을 | | place live work
city, cities | f Stadt Städte | 도시 | | place live work visit
forest, forests | m Wald Wälder | 숲 | | place outdoor nature
beach, beaches | m Strand Strände | 해변 | | place outdoor nature
lake, lakes | m See Seen | 호수 | | place swim nature
sea, seas | n Meer Meere | 바다 | | place swim
pool, pools | n Schwimmbad Schwimmbäder | 수영장 | | place swim
house, houses | n Haus Häuser | 집 | | landmark building
"""

# English base, third person, past | German prefix infinitive, du, er, imperative, participle, auxiliary |
# Korean stem, with 아/어, with (으) |
# English preposition, German case or preposition, Korean particle | objects | places | flags
# flags: state (no modal, imperative or "now"), noimp (no imperative), chance (nobody wants to), bare (needs no object),
# rec (somebody gets the object), to (explains it to her), animal (animals do it, too), vehicle (by train), sub (in
# short clauses: "when the child sleeps"), into (Korean 에 instead of 에서); def and indef: a bare noun in Korean means
# "the" or "a", see dataset.meanings.bare
_VERBS = """
eat eats ate | - essen isst isst iss gegessen haben | 먹 먹어 먹으
    | - acc 을 | food | kitchen garden park restaurant office | sub
cook cooks cooked | - kochen kochst kocht koch gekocht haben | 요리하 요리해 요리하
    | - acc 을 | soup cooked | kitchen restaurant |
bake bakes baked | - backen backst backt back gebacken haben | 굽 구워 구우
    | - acc 을 | baked | kitchen bakery |
drink drinks drank | - trinken trinkst trinkt trink getrunken haben | 마시 마셔 마시
    | - acc 을 | drink | home restaurant office | sub
read reads read | - lesen liest liest lies gelesen haben | 읽 읽어 읽으
    | - acc 을 | text | home library park beach |
write writes wrote | - schreiben schreibst schreibt schreib geschrieben haben | 쓰 써 쓰
    | - acc 을 | written song | home library office hotel |
buy buys bought | - kaufen kaufst kauft kauf gekauft haben | 사 사 사
    | - acc 을 | fruit bread cheese fish meat clothes own switch furniture vehicle | shop |
sell sells sold | - verkaufen verkaufst verkauft verkauf verkauft haben | 팔 팔아 파
    | - acc 을 | fruit bread cheese fish meat cake clothes furniture vehicle picture plant-tree | shop |
see sees saw | - sehen siehst sieht sieh gesehen haben | 보 봐 보
    | - acc 을 | person animal watch building | - | noimp
paint paints painted | - malen malst malt mal gemalt haben | 그리 그려 그리
    | - acc 을 | animal plant building | garden park beach |
look_for looks_for looked_for | - suchen suchst sucht such gesucht haben | 찾 찾아 찾으
    | - acc 을 | own pet text-poem-report | room station park | def
lose loses lost | - verlieren verlierst verliert verlier verloren haben | 잃어버리 잃어버려 잃어버리
    | - acc 을 | own toy | stop park market | noimp chance def
open opens opened | auf machen machst macht mach aufgemacht haben | 열 열어 여
    | - acc 을 | opening box | - | sub def
close closes closed | zu machen machst macht mach zugemacht haben | 닫 닫아 닫으
    | - acc 을 | opening box | - | def
clean cleans cleaned | - putzen putzt putzt putz geputzt haben | 닦 닦아 닦으
    | - acc 을 | surface vehicle | - | def
repair repairs repaired | - reparieren reparierst repariert reparier repariert haben | 고치 고쳐 고치
    | - acc 을 | device furniture | garage | def
bring brings brought | mit bringen bringst bringt bring mitgebracht haben | 가져오 가져와 가져오
    | - acc 을 | gift plant-tree juice cake salad toy picture text-poem-report | - |
call calls called | an rufen rufst ruft ruf angerufen haben | 전화하 전화해 전화하
    | - acc 에게 | person | - |
visit visits visited | - besuchen besuchst besucht besuch besucht haben | 방문하 방문해 방문하
    | - acc 을 | person visit | - |
meet meets met | - treffen triffst trifft triff getroffen haben | 만나 만나 만나
    | - acc 을 | person | park stop restaurant hotel museum city |
help helps helped | - helfen hilfst hilft hilf geholfen haben | 돕 도와 도우
    | - dat 을 | person | garden kitchen office |
follow follows followed | - folgen folgst folgt folg gefolgt sein | 따라가 따라가 따라가
    | - dat 을 | person animal | - |
answer answers answered | - antworten antwortest antwortet antworte geantwortet haben | 대답하 대답해 대답하
    | - dat 에게 | person | - |
greet greets greeted | - begrüßen begrüßt begrüßt begrüß begrüßt haben | 인사하 인사해 인사하
    | - acc 에게 | person | - |
wake wakes woke | auf wecken weckst weckt weck aufgeweckt haben | 깨우 깨워 깨우
    | - acc 을 | person pet | - |
invite invites invited | ein laden lädst lädt lad eingeladen haben | 초대하 초대해 초대하
    | - acc 을 | person | - |
turn_on turns_on turned_on | ein schalten schaltest schaltet schalte eingeschaltet haben | 켜 켜 켜
    | - acc 을 | switch | - | def
turn_off turns_off turned_off | aus schalten schaltest schaltet schalte ausgeschaltet haben | 끄 꺼 끄
    | - acc 을 | switch | - | def
put_on puts_on put_on | an ziehen ziehst zieht zieh angezogen haben | 입 입어 입으
    | - acc 을 | clothes | - |
try_on tries_on tried_on | an probieren probierst probiert probier anprobiert haben | 입어보 입어봐 입어보
    | - acc 을 | clothes | - |
carry carries carried | - tragen trägst trägt trag getragen haben | 나르 날라 나르
    | - acc 을 | load furniture | - |
build builds built | - bauen baust baut bau gebaut haben | 짓 지어 지으
    | - acc 을 | building | city village | indef into
love loves loved | - lieben liebst liebt lieb geliebt haben | 사랑하 사랑해 사랑하
    | - acc 을 | person pet | - | state
like likes liked | - mögen magst mag - gemocht haben | 좋아하 좋아해 좋아하
    | - acc 을 | drink soup salad cooked person animal bread cheese chocolate | - | state
know knows knew | - kennen kennst kennt - gekannt haben | 알 알아 아
    | - acc 을 | person note song story rule | - | state def
understand understands understood | - verstehen verstehst versteht versteh verstanden haben | 이해하 이해해 이해하
    | - acc 을 | idea text-cookbook-dictionary-newspaper-magazine story song | - | state def
listen_to listens_to listened_to | - hören hörst hört hör gehört haben | 듣 들어 들으
    | - acc 을 | sound radio | home |
learn learns learned | - lernen lernst lernt lern gelernt haben | 배우 배워 배우
    | - acc 을 | school_subject word song rule | school university library |
teach teaches taught | - unterrichten unterrichtest unterrichtet unterrichte unterrichtet haben | 가르치 가르쳐 가르치
    | - acc 을 | school_subject | school university village city |
play plays played | - spielen spielst spielt spiel gespielt haben | 하 해 하
    | - acc 을 | sport | school park beach |
give gives gave | - geben gibst gibt gib gegeben haben | 주 줘 주
    | - acc 을 | own gift plant-tree toy picture text-poem-report-newspaper address number juice fruit | - | rec
show shows showed | - zeigen zeigst zeigt zeig gezeigt haben | 보여주 보여줘 보여주
    | - acc 을 | own picture toy clothes text room | - | rec
send sends sent | - schicken schickst schickt schick geschickt haben | 보내 보내 보내
    | - acc 을 | gift package picture written address | - | rec
lend lends lent | - leihen leihst leiht leih geliehen haben | 빌려주 빌려줘 빌려주
    | - acc 을 | vehicle umbrella text-letter-postcard-poem-report guitar clothes suitcase | - | rec
explain explains explained | - erklären erklärst erklärt erklär erklärt haben | 설명하 설명해 설명하
    | - acc 을 | idea story text-newspaper-magazine-cookbook-dictionary-postcard | - | rec def to
borrow borrows borrowed | aus leihen leihst leiht leih ausgeliehen haben | 빌리 빌려 빌리
    | - acc 을 | vehicle umbrella text-letter-postcard-poem-report guitar clothes | library |
plant plants planted | - pflanzen pflanzt pflanzt pflanz gepflanzt haben | 심 심어 심으
    | - acc 을 | plant | garden park | into
cut cuts cut | - schneiden schneidest schneidet schneide geschnitten haben | 자르 잘라 자르
    | - acc 을 | cuttable | kitchen |
write_down writes_down wrote_down | auf schreiben schreibst schreibt schreib aufgeschrieben haben | 적 적어 적으
    | - acc 을 | note idea-rule | - | def
tidy_up tidies_up tidied_up | auf räumen räumst räumt räum aufgeräumt haben | 정리하 정리해 정리하
    | - acc 을 | room | - | def
throw_away throws_away threw_away | weg werfen wirfst wirft wirf weggeworfen haben | 버리 버려 버리
    | - acc 을 | text-poem furniture clothes toy box plant-tree | - |
forget forgets forgot | - vergessen vergisst vergisst vergiss vergessen haben | 잊어버리 잊어버려 잊어버리
    | - acc 을 | note idea | - | noimp chance def
have has had | - haben hast hat - gehabt haben | 있 있어 있으
    | - acc 이 | pet vehicle switch own picture furniture toy clothes | - | state indef
dance dances danced | - tanzen tanzt tanzt tanz getanzt haben | 춤추 춤춰 춤추
    | with mit 과 | person | home park theater hotel beach | bare sub
talk talks talked | - reden redest redet rede geredet haben | 이야기하 이야기해 이야기하
    | with mit 과 | person | home park office restaurant stop | bare
work works worked | - arbeiten arbeitest arbeitet arbeite gearbeitet haben | 일하 일해 일하
    | with mit 과 | person | work garden garage restaurant shop | bare sub
wait waits waited | - warten wartest wartet warte gewartet haben | 기다리 기다려 기다리
    | - acc 을 | - | stop restaurant office hotel hospital school beside park | animal sub
sleep sleeps slept | - schlafen schläfst schläft schlaf geschlafen haben | 자 자 자
    | - acc 을 | - | bedroom living_room garden hotel forest beach beside-tree | animal sub
sing sings sang | - singen singst singt sing gesungen haben | 노래하 노래해 노래하
    | - acc 을 | - | home bathroom church theater park school beside | sub
laugh laughs laughed | - lachen lachst lacht lach gelacht haben | 웃 웃어 웃으
    | - acc 을 | - | kitchen living_room classroom office theater park | sub
cry cries cried | - weinen weinst weint wein geweint haben | 울 울어 우
    | - acc 을 | - | kitchen bedroom classroom hospital stop park beside-tree | sub chance
swim swims swam | - schwimmen schwimmst schwimmt schwimm geschwommen sein | 수영하 수영해 수영하
    | - acc 을 | - | swim | animal
run runs ran | - rennen rennst rennt renn gerannt sein | 뛰 뛰어 뛰
    | - acc 을 | - | garden park forest beach | animal
shop shops shopped | ein kaufen kaufst kauft kauf eingekauft haben | 쇼핑하 쇼핑해 쇼핑하
    | - acc 을 | - | market supermarket city airport |
study studies studied | - studieren studierst studiert studier studiert haben | 공부하 공부해 공부하
    | - acc 을 | school_subject | university library city | bare
walk walks walked | spazieren gehen gehst geht geh spazieren_gegangen sein | 산책하 산책해 산책하
    | - acc 을 | - | garden park forest beach city village |
arrive arrives arrived | an kommen kommst kommt komm angekommen sein | 도착하 도착해 도착하
    | at acc 에 | - | stop hotel school office farm beach | noimp sub
live lives lived | - wohnen wohnst wohnt wohn gewohnt haben | 살 살아 사
    | - acc 에 | - | live hotel castle town_name beside | state
stay stays stayed | - bleiben bleibst bleibt bleib geblieben sein | 머무르 머물러 머무르
    | - acc 에 | - | hotel hospital village city castle kitchen bedroom garden library |
go goes went | - gehen gehst geht geh gegangen sein | 가 가 가
    | to acc 에 | - | town garden nature swim factory castle church |
come comes came | - kommen kommst kommt komm gekommen sein | 오 와 오
    | to acc 에 | - | town garden beach village castle church lake | noimp
travel travels traveled | - fahren fährst fährt fahr gefahren sein | 가 가 가
    | to acc 에 | - | town_name airport station sea | vehicle
"""

# key | German | German stem | Korean stem, with 아/어, with (으) | tags of nouns
_ADJECTIVES = """
young | jung | jung | 젊 젊어 젊으 | man woman worker
tired | müde | müd | 피곤하 피곤해 피곤하 | person
friendly | freundlich | freundlich | 친절하 친절해 친절하 | person
clever | klug | klug | 똑똑하 똑똑해 똑똑하 | person pet
famous | berühmt | berühmt | 유명하 유명해 유명하 | worker novel poem song movie museum castle hotel
happy | glücklich | glücklich | 행복하 행복해 행복하 | person
sad | traurig | traurig | 슬프 슬퍼 슬프 | person poem song movie novel
sick | krank | krank | 아프 아파 아프 | person pet
poor | arm | arm | 가난하 가난해 가난하 | man woman farmer painter student
lazy | faul | faul | 게으르 게을러 게으르 | person pet
hungry | hungrig | hungrig | 배고프 배고파 배고프 | person animal
big | groß | groß | 크 커 크 | animal box furniture vehicle opening building tree house garden city
small | klein | klein | 작 작아 작으 | animal box furniture gift toy opening house garden village bag picture
new | neu | neu | 새 - - | clothes own device furniture text-poem vehicle song movie rule word
old | alt | alt | 오래되 - 오래되 | thing building opening song movie house
expensive | teuer | teur | 비싸 비싸 비싸 | clothes own device vehicle furniture gift wine cake
cheap | billig | billig | 싸 싸 싸 | clothes own device vehicle furniture wine
beautiful | schön | schön | 아름답 아름다워 아름다우
    | plant gift picture clothes song castle beach garden city lake ring
red | rot | rot | 빨갛 빨개 빨가 | clothes hat bag umbrella flower rose apple vehicle cup ball
blue | blau | blau | 파랗 파래 파라 | clothes hat bag umbrella vehicle cup ball vase
white | weiß | weiß | 하얗 하얘 하야 | clothes hat flower rose cat dog horse rabbit house vase plate
black | schwarz | schwarz | 까맣 까매 까마 | clothes hat bag umbrella cat dog horse vehicle bear
interesting | interessant | interessant | 재미있 재미있어 재미있으 | text story question museum
boring | langweilig | langweilig | 지루하 지루해 지루하 | text-postcard-dictionary-cookbook story
long | lang | lang | 길 길어 기 | written story-movie song coat skirt dress word name
difficult | schwierig | schwierig | 어렵 어려워 어려우 | idea text-postcard-newspaper-magazine-cookbook-dictionary
important | wichtig | wichtig | 중요하 중요해 중요하 | idea note report letter
delicious | lecker | lecker | 맛있 맛있어 맛있으 | food juice cocoa
fresh | frisch | frisch | 신선하 신선해 신선하 | fruit bread fish meat salad egg milk
hot | heiß | heiß | 뜨겁 뜨거워 뜨거우 | soup coffee tea cocoa oven
cold | kalt | kalt | 차갑 차가워 차가우 | drink soup
sweet | süß | süß | 달 달아 다 | cake-carrot_cake juice-tomato_juice-carrot_juice fruit-tomato-potato chocolate lemonade
warm | warm | warm | 따뜻하 따뜻해 따뜻하 | coat jacket sweater winter_coat winter_jacket bed bread milk
heavy | schwer | schwer | 무겁 무거워 무거우 | load furniture bag school_bag
dirty | schmutzig | schmutzig | 더럽 더러워 더러우 | clothes surface vehicle cup plate ball kitchen bathroom garage
clean | sauber | sauber | 깨끗하 깨끗해 깨끗하 | clothes surface vehicle cup plate kitchen bathroom bed
quiet | ruhig | ruhig | 조용하 조용해 조용하 | village park library beach hotel
"""

# English | German of a man, of a woman | Korean
_PROFESSIONS = """
doctor | Arzt Ärztin | 의사
teacher | Lehrer Lehrerin | 교사
cook | Koch Köchin | 요리사
student | Student Studentin | 학생
singer | Sänger Sängerin | 가수
actor | Schauspieler Schauspielerin | 배우
painter | Maler Malerin | 화가
pilot | Pilot Pilotin | 조종사
nurse | Pfleger Pflegerin | 간호사
police officer | Polizist Polizistin | 경찰관
"""

# token/units; a token without units aligns with nothing
_TIMES = """
today | today/t | heute/t | 오늘/t | present past
now | now/t | jetzt/t | 지금/t | must
yesterday | yesterday/t | gestern/t | 어제/t | past
tomorrow | tomorrow/t | morgen/t | 내일/t | future
every day | every/et day/t | jeden/e Tag/t | 매일/et | present
in the morning | in/p the/d morning/t | am/pd Morgen/t | 아침에/pt | present past future
in the evening | in/p the/d evening/t | am/pd Abend/t | 저녁에/pt | present past future
on Monday | on/p Monday/t | am/p Montag/t | 월요일에/pt | past future
on Friday | on/p Friday/t | am/p Freitag/t | 금요일에/pt | past future
on Sunday | on/p Sunday/t | am/p Sonntag/t | 일요일에/pt | past future
"""

_FREQUENCIES = """
always | always/f | immer/f | 항상/f |
often | often/f | oft/f | 자주/f |
sometimes | sometimes/f | manchmal/f | 가끔/f |
"""

# by train and the like, with the verb "travel"
_VEHICLES = """
by train | by/p train/n | mit/p dem Zug/n | 기차로/pn |
by bus | by/p bus/n | mit/p dem Bus/n | 버스로/pn |
by car | by/p car/n | mit/p dem Auto/n | 자동차로/pn |
by bicycle | by/p bicycle/n | mit/p dem Fahrrad/n | 자전거로/pn |
"""

# English | German | Korean | gender
_NAMES = """
Anna | Anna | 안나 | f
Clara | Clara | 클라라 | f
Emma | Emma | 에마 | f
Lena | Lena | 레나 | f
Mina | Mina | 미나 | f
Suji | Suji | 수지 | f
Ben | Ben | 벤 | m
Jonas | Jonas | 요나스 | m
Lukas | Lukas | 루카스 | m
Max | Max | 막스 | m
Paul | Paul | 파울 | m
Jun | Jun | 준 | m
"""

TOWNS = {"Berlin": "베를린", "Hamburg": "함부르크", "London": "런던", "Paris": "파리", "Seoul": "서울", "Busan": "부산"}

PRONOUNS = {
    "I": Person("I", "ich", "저는 제가", 1, False, ""),
    "you": Person("you", "du", "", 2, False, ""),
    "he": Person("he", "er", "그는 그가", 3, False, "m"),
    "she": Person("she", "sie", "그녀는 그녀가", 3, False, "f"),
    "we": Person("we", "wir", "우리는 우리가", 1, True, ""),
    "they": Person("they", "sie", "그들은 그들이", 3, True, ""),
}

# English preposition; German preposition for being there (dative) and for going there, with its case. Else: IN.
IN = ("in", "in", "in acc")
PREPOSITIONS = {
    "school": ("at", "in", "in acc"),
    "market": ("at", "auf", "auf acc"),
    "station": ("at", "an", "zu dat"),
    "airport": ("at", "an", "zu dat"),
    "university": ("at", "an", "zu dat"),
    "castle": ("in", "in", "zu dat"),
    "farm": ("on", "auf", "auf acc"),
    "beach": ("on", "an", "an acc"),
    "lake": ("in", "in", "zu dat"),
    "sea": ("in", "in", "an acc"),
}
BESIDE = (
    Spot("behind", "hinter", "dat", "뒤"),
    Spot("in front of", "vor", "dat", "앞"),
    Spot("next to", "neben", "dat", "옆"),
)
ON_TOP = (Spot("on", "auf", "dat", "위"), Spot("under", "unter", "dat", "아래"))


def _rows(table):
    """The rows of a table as lists of columns; a line that begins with `|` goes on with the row above it."""
    lines = re.sub(r"\n *\|", " |", table).splitlines()
    return [[column.strip() for column in line.split("|")] for line in lines if line.strip()]


def _nouns():
    made = {}
    for english, german, korean, counter, tags in _rows(_NOUNS):
        key, plural = (form.strip() for form in english.split(","))
        gender, singular, german_plural, *oblique = german.split()
        german_forms = (gender, singular, german_plural, *(oblique or [singular]))
        made[key] = Noun(key, plural, *german_forms, korean, counter, frozenset(tags.split()))
    return made


def _verbs():
    made = {}
    for english, german, korean, frame, objects, places, flags in _rows(_VERBS):
        prefix, *german = german.split()
        preposition, case, particle = frame.split()
        forms = [form.replace("_", " ") for form in english.split()]
        fits = (tuple(column.replace("-", " -").split()) if column != "-" else () for column in (objects, places))
        made[forms[0]] = Verb(
            *forms,
            prefix.strip("-"),
            *(form.replace("_", " ") for form in german),
            *korean.split(),
            preposition.strip("-"),
            case,
            particle,
            *fits,
            frozenset(flags.split()),
        )
    return made


def _fixed(table):
    made = {}
    for key, *columns, _ in _rows(table):
        pairs = (tuple(tuple(f"{word}/".split("/")[:2]) for word in column.split()) for column in columns)
        made[key] = Fixed(key, *pairs)
    return made


NOUNS = _nouns()
VERBS = _verbs()
ADJECTIVES = {
    row[0]: Adjective(row[0], row[1], row[2], *row[3].split(), tuple(row[4].replace("-", " -").split()))
    for row in _rows(_ADJECTIVES)
}
PROFESSIONS = {row[0]: (*row[1].split(), row[2]) for row in _rows(_PROFESSIONS)}
TIMES = _fixed(_TIMES)
TENSES = {row[0]: tuple(row[-1].split()) for row in _rows(_TIMES)}
FREQUENCIES = _fixed(_FREQUENCIES)
VEHICLES = _fixed(_VEHICLES)
NAMES = {row[0]: Person(row[0], row[1], row[2], 3, False, row[3]) for row in _rows(_NAMES)}


@functools.cache
def fits(wanted):
    """The nouns that a tuple of tags and keys means, as a tuple of keys in the order of the table.

    `"text", "-poem"` is all nouns with the tag `text` but the poem; a key of two words is written `living_room`.

    Raises:
        ValueError: a word is neither a tag nor a noun.
    """
    known = {tag for noun in NOUNS.values() for tag in noun.tags}
    chosen = set()
    for word in wanted:
        tag = word.lstrip("-")
        name = tag.replace("_", " ")
        if name not in NOUNS and tag not in known:
            raise ValueError(f"{word!r} is neither a tag nor a noun of dataset.lexicon: correct it in the table")
        found = {name} if name in NOUNS else {key for key, noun in NOUNS.items() if tag in noun.tags}
        chosen = chosen - found if word.startswith("-") else chosen | found
    return tuple(key for key in NOUNS if key in chosen)
