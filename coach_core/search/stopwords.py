"""Words too common to search by, one set a language, folded as words.fold() leaves them.

Invariant: every word is its own fold (NFKC, casefold, no diacritics on Latin), so a token can be
looked up as it is. Words that carry a coach's meaning (work, want, feel, time) are never in here.
"""

from __future__ import annotations

_LISTS = {
    "en": """a about above after again all also am an and any are aren as at be because been before being
        below between both but by can cannot could couldn d did didn do does doesn doing don down during each
        few for from further had hadn has hasn have haven having he her here hers herself him himself his how
        i if in into is isn it its itself just ll m me more most my myself no nor not now of off on once only
        or other our ours ourselves out over own re s same shan she should shouldn so some such t than that
        the their theirs them themselves then there these they this those through to too under until up ve
        very was wasn we were weren what when where which while who whom why will with won would wouldn you
        your yours yourself yourselves""",
    "es": """a al algo ante antes asi aun aunque bien cada como con contra cual cuales cuando de del desde
        donde dos e el ella ellas ello ellos en entre era eran eres es esa esas ese eso esos esta estaba
        estan estar estas este esto estos estoy fue fueron ha hace han has hasta hay he la las le les lo los
        mas me mi mientras mis mucho muy ni no nos nosotros o os otra otro para pero poco por porque pues
        que quien quienes se sea ser si sido sin sobre solo son soy su sus tambien tan tanto te tengo ti
        tiene todo tu tus u un una uno unos unas vosotros y ya yo""",
    "de": """ab aber als also am an auch auf aus bei beim bin bis bist da damit dann das dass dein deine dem
        den denn der des die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen
        einer eines er es etwas euch fur gegen hab habe haben hat hatte hier hin ich ihm ihn ihnen ihr ihre
        ihrem ihren im in ins ist ja jede jedem jeden jeder jedes jetzt kann kannst kein keine keinen konnen
        man mehr mein meine meinem meinen meiner mich mir mit muss nach nicht nichts noch nun nur ob oder
        ohne sehr sein seine seinem seinen seiner sich sie sind so soll sollte sondern uber um und uns unser
        unter viel vom von vor wann war waren warum was weil welche welcher welches wenn wer werden wie wieder
        will wir wird wo wurde zu zum zur zwischen""",
    "fr": """a ai alors as au aucun aussi autre aux avec avez avoir avons c ce ceci cela ces cet cette chez
        comme comment d dans de des donc du elle elles en encore est et etaient etait ete etes etre eu eux il
        ils j je l la le les leur leurs lui m ma mais me meme mes moi moins mon n ne ni nos notre nous on ont
        ou par pas peu peut plus pour pourquoi qu quand que quel quelle quels qui quoi s sa sans se sera ses
        si soi son sont sous suis sur t ta te tes toi ton tous tout toute tres trop tu un une vos votre vous
        y""",
    "it": """a ad agli ai al alla alle allo anche ancora avere c che chi ci come con cosa cui d da dagli dai
        dal dalla dalle degli dei del della delle dello di dove e ed era erano essere fa gia gli ha hai hanno
        ho i il in io l la le lei li lo loro lui ma me mi mia mie miei mio molto ne negli nei nel nella nelle
        no noi non nostra nostro o ogni per perche piu poi quale quali quando quanto quella quelle quelli
        quello questa queste questi questo se sei si sia siamo sono sta su sua sue sui sul sulla suo suoi te
        ti tra tu tua tuo tutti tutto un una uno vi voi""",
    "pt": """a ao aos as ate com como da das de dela dele deles depois do dos e ela elas ele eles em entre era
        essa essas esse esses esta estao estas estava este estes estou eu foi foram ha isso isto ja lhe mais
        mas me mesmo meu meus minha minhas muito na nao nas nem no nos nossa nosso num numa o os ou para pela
        pelas pelo pelos por porque qual quando que quem se sem ser seu seus so sua suas tambem te tem tenho
        teu tu tua um uma voce voces""",
    "nl": """aan al alles als altijd ben bij daar dan dat de der deze die dit doch doen door dus een en er ge
        geen geweest haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je kan kon
        kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of om omdat onder ons ook op over
        te tegen toch toen tot u uit uw van veel voor want waren was wat werd wezen wie wil worden wordt zal
        ze zelf zich zij zijn zo zonder zou""",
    "ru": """а без более бы был была были было быть в вам вас во вот все всего вы где да даже для до его ее
        если есть еще же за и из или им их к как ко когда кто ли мне мы на над не него нее нет ни но ну о об
        он она они от по под при с со так также там то того тоже только ты у уже чего чем что чтобы эта эти
        это этот я""",
    "ar": """ا ان او اي الا الى التي الذي الذين اما امام انا انت انه انها بعد بعض بل به بها بين تلك ثم حتى
        حين حيث خلال ذلك سوف عليه عليها على عن عند عندما غير في فيه فيها قبل قد كان كانت كل كم كما كيف كيفية
        لا لان لدي لدى لكن لم لماذا لن له لها لي ليس ما ماذا مع من منذ منه منها نحو نعم هذا هذه هل هم هنا
        هناك هو هي و ولا وما يا يكون""",
    "zh": """什么 怎么 么样 怎样 如何 为什 可以 我们 你们 他们 她们 是否 这个 那个 这些 那些 一个 没有 因为
        所以 但是 如果 就是 还是 或者 以及 应该 的时 我的 你的 他的 了我 我在 是不 不是 吗""",
}

STOP_WORDS: dict[str, frozenset[str]] = {code: frozenset(words.split()) for code, words in _LISTS.items()}
