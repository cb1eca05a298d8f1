// Each line with a comment behind it is wrong, and no other one.
using Zoneserver;

static class Wrong
{
    static void Use(ArsenalGame arsenal, CoinrushGame coinrush, ZoneClient zone)
    {
        coinrush.Run(1, 2);
        coinrush.Run(1); // an argument is missing
        coinrush.Run(1, "2"); // another type
        coinrush.Walk(1, 2); // another action
        coinrush.Buy("boots"); // a text in place of a choice
        coinrush.Buy(CoinrushGame.Item.Sword); // another choice
        arsenal.Choices(ArsenalGame.Pick.Red, null); // no null
        arsenal.Lists(new[] { "x" }, new int[0]); // other items
        coinrush.OnTaken += (player, worth) => { }; // a value is missing
        coinrush.OnSay += (player, text) => { long number = text; }; // another type
        zone.Done(coinrush.Buy(CoinrushGame.Item.Boots), outcome => { long bag = CoinrushGame.BuyAnswer(outcome); }); // another type
        zone.Me.Stat(CoinrushGame.Stats.Hp); // another stat
        zone.Board(CoinrushGame.Board.Lead); // another name
    }
}
